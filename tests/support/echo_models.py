"""One rich action, observation and state in each kind of model, and the environment that gives back what it got."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from openenv_async import Action, AsyncEnv, Environment, Observation, State, create_app
from openenv_async.server.app import EnvApp


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class StructPoint(msgspec.Struct):
    x: float
    label: str | None = None


class StructRich(Action):
    color: Color = Color.RED
    level: Level = Level.LOW
    mode: Literal["a", "b"] = "a"
    either: int | str | None = None
    maybe: StructPoint | None = None
    points: list[StructPoint] = []
    table: dict[str, StructPoint] = {}
    pair: tuple[int, str] = (0, "")
    raw: bytes = b""
    pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    anything: Any = None


class StructSeen(Observation):
    color: Color = Color.RED
    level: Level = Level.LOW
    mode: Literal["a", "b"] = "a"
    either: int | str | None = None
    maybe: StructPoint | None = None
    points: list[StructPoint] = []
    table: dict[str, StructPoint] = {}
    pair: tuple[int, str] = (0, "")
    raw: bytes = b""
    pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    anything: Any = None


class StructState(State):
    last: StructPoint | None = None


@dataclass
class DataPoint:
    x: float
    label: str | None = None


@dataclass
class DataRich:
    color: Color = Color.RED
    level: Level = Level.LOW
    mode: Literal["a", "b"] = "a"
    either: int | str | None = None
    maybe: DataPoint | None = None
    points: list[DataPoint] = field(default_factory=list)
    table: dict[str, DataPoint] = field(default_factory=dict)
    pair: tuple[int, str] = (0, "")
    raw: bytes = b""
    pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    anything: Any = None


@dataclass
class DataSeen(DataRich):
    done: bool = False
    reward: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class DataState:
    episode_id: str | None = None
    step_count: int = 0
    last: DataPoint | None = None


class ModelPoint(BaseModel):
    x: float
    label: str | None = None


class ModelRich(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    color: Color = Color.RED
    level: Level = Level.LOW
    mode: Literal["a", "b"] = "a"
    either: int | str | None = None
    maybe: ModelPoint | None = None
    points: list[ModelPoint] = []
    table: dict[str, ModelPoint] = {}
    pair: tuple[int, str] = (0, "")
    raw: bytes = b""
    pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None
    anything: Any = None


class ModelSeen(ModelRich):
    done: bool = False
    reward: bool | int | float | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ModelState(BaseModel):
    episode_id: str | None = None
    step_count: int = 0
    last: ModelPoint | None = None


FIELDS = ("color", "level", "mode", "either", "maybe", "points", "table", "pair", "raw", "pixels", "anything")


class StructEnv(AsyncEnv[StructRich, StructSeen, StructState]):
    pass


class DataEnv(AsyncEnv[DataRich, DataSeen, DataState]):
    pass


class ModelEnv(AsyncEnv[ModelRich, ModelSeen, ModelState]):
    pass


class Kind(NamedTuple):
    """The classes of one kind of model."""

    action: Any
    observation: Any
    state: Any
    point: Callable[..., Any]
    client: type[AsyncEnv[Any, Any, Any]]

    def rich(self, **changes: Any) -> Any:
        """An action with every field away from its default."""
        fields: dict[str, Any] = {
            "color": Color.BLUE,
            "level": Level.HIGH,
            "mode": "b",
            "either": "seven",
            "maybe": self.point(x=1.5, label="one"),
            "points": [self.point(x=2.0), self.point(x=-0.0, label="\N{SNOWMAN}")],
            "table": {"a": self.point(x=3.25)},
            "pair": (7, "seven"),
            "raw": b"abc",
            "anything": {"deep": [1, None, True, "x", 2.5]},
        }
        return self.action(**fields | changes)

    def app(self, execution: str | None = None) -> EnvApp:
        return create_app(lambda: Echo(self), self.action, self.observation, state_cls=self.state, execution=execution)


KINDS = {
    "struct": Kind(StructRich, StructSeen, StructState, StructPoint, StructEnv),
    "dataclass": Kind(DataRich, DataSeen, DataState, DataPoint, DataEnv),
    "pydantic": Kind(ModelRich, ModelSeen, ModelState, ModelPoint, ModelEnv),
}


class Echo(Environment[Any, Any, Any]):
    """Gives back what it got. `anything` as a dict may also name the reward, done and metadata."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.steps = 0
        self.last: Any = None
        self.episode_id: str | None = None

    def reset(self, seed: int | None = None, episode_id: str | None = None, *, anything: Any = None) -> Any:
        self.steps, self.episode_id = 0, episode_id
        return self.kind.observation(anything=anything)

    def step(self, action: Any) -> Any:
        assert type(action) is self.kind.action
        self.steps += 1
        self.last = action.maybe
        more: dict[str, Any] = {}
        if isinstance(action.anything, dict):
            more = {name: action.anything[name] for name in ("reward", "done", "metadata") if name in action.anything}
        return self.kind.observation(**{name: getattr(action, name) for name in FIELDS}, **more)

    @property
    def state(self) -> Any:
        return self.kind.state(episode_id=self.episode_id, step_count=self.steps, last=self.last)
