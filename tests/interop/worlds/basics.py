"""An OpenEnv environment whose action chooses what comes back: every kind of value and failure."""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import uuid
from typing import Any, Literal

from fastapi import HTTPException
from openenv.core.env_server import Action, Environment, Observation, State, create_app
from pydantic import BaseModel, Field, field_validator


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    x: int = 0
    when: datetime.datetime = datetime.datetime(2026, 1, 2, 3, 4, 5)


class Act(Action):
    """What to do."""

    kind: str = Field(..., min_length=1, description="what to give back")
    amount: float = Field(default=1.0, ge=0)
    colour: Colour | None = None
    mode: Literal["a", "b"] = "a"
    inner: Inner | None = None
    items: list[int] = Field(default_factory=list)

    @field_validator("amount")
    @classmethod
    def _not_thirteen(cls, value: float) -> float:
        assert value != 13, "thirteen is not lucky"
        return value


class Obs(Observation):
    """What came."""

    text: str = ""
    value: Any = None
    inner: Inner | None = None


class MyState(State):
    score: float = 0.0
    secret: str = "s"


VALUES: dict[str, Any] = {
    "big": 2**70,
    "negative": -(2**70),
    "bytes": b"abc",
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "date": datetime.date(2026, 1, 2),
    "delta": datetime.timedelta(seconds=90.5),
    "decimal": decimal.Decimal("1.50"),
    "uuid": uuid.UUID(int=5),
    "path": pathlib.PurePosixPath("/a/b"),
    "enum": Colour.RED,
    "tuple": (1, "2", None),
    "set": {7},
    "nested": {"a": [Inner(x=3)], "b": {"c": (1.5, True)}},
    "keys": {2: "int", 2.5: "float", True: "bool", None: "none"},
    "nan": float("nan"),
    "inf": float("inf"),
    "tiny": 1e-320,
    "long": 0.1 + 0.2,
    "text": 'quotes " and \\ and \x00 and \u2028 and é and 😀',
    "deep": [[[[[[[[[[1]]]]]]]]]],
    "complex": 1 + 2j,
    "colours": [Colour.RED, Colour.BLUE],
}
REWARDS: dict[str, Any] = {
    "int": 3,
    "float": 3.0,
    "half": 0.5,
    "bool": True,
    "nan": float("nan"),
    "inf": float("-inf"),
    "big": 2**60,
    "none": None,
}


class Empty(Exception):
    def __str__(self) -> str:
        return ""


def fail(kind: str) -> None:
    if kind == "value":
        raise ValueError("no such value: 'é'")
    if kind == "key":
        raise KeyError("gone")
    if kind == "empty":
        raise Empty
    if kind == "assert":
        raise AssertionError
    if kind == "stop":
        raise StopIteration("over")
    if kind == "validation":
        Inner.model_validate({"x": "no"})
    if kind == "timeout":
        raise TimeoutError
    if kind == "http":
        raise HTTPException(418, detail={"short": "and stout"})
    if kind == "not_implemented":
        raise NotImplementedError("later")


class BasicsEnvironment(Environment[Act, Obs, MyState]):
    def __init__(self) -> None:
        super().__init__()
        self._state = MyState()

    def reset(self, seed: int | None = None, episode_id: str | None = None, level: Any = None) -> Obs:
        self._state = MyState(episode_id=episode_id)
        if level == "fail":
            raise RuntimeError("no such level")
        return Obs(
            text=f"seed={seed!r} episode={episode_id!r} level={level!r}", metadata={"level": level} if level else {}
        )

    def step(self, action: Act, timeout_s: float | None = None, loud: bool = False, **more: Any) -> Obs:
        self._state.step_count += 1
        self._state.score += action.amount
        what, _, which = action.kind.partition(":")
        if what == "raise":
            fail(which)
        if what == "value":
            return Obs(text=which, value=VALUES[which])
        if what == "reward":
            return Obs(text=which, reward=REWARDS[which], done=which == "int")
        if what == "metadata":
            return Obs(text="with", metadata={"a": 1, "b": {"c": [1, 2]}}, reward=1.0)
        if what == "none":
            return None  # type: ignore[return-value]
        if what == "dict":
            return {"text": "a dict"}  # type: ignore[return-value]
        if what == "state":
            self._state.extra = {"free": True}  # type: ignore[attr-defined]
            return Obs(text="extra")
        if what == "arguments":
            return Obs(text=f"timeout_s={timeout_s!r} loud={loud!r} more={sorted(more.items())!r}")
        if what == "bad":
            return Obs(text=5)  # type: ignore[arg-type]
        return Obs(text=action.kind, value=action.model_dump(mode="json"), inner=action.inner, reward=action.amount)

    @property
    def state(self) -> MyState:
        return self._state


app = create_app(BasicsEnvironment, Act, Obs, env_name="basics")
