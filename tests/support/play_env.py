"""One environment that does on request everything an environment may do wrong; in threads and on the loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import msgspec

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server.app import EnvApp
from support.servers import BOUND_S, Journal

Execution = Literal["thread", "inline"]


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: float
    y: float = 0.0


class PlayAction(Action):
    op: str = "add"
    n: int = 0
    path: list[Point] = []
    value: Any = None

    def __post_init__(self) -> None:
        if self.n > 1000:
            raise ValueError("n is more than 1000")


class PlayObservation(Observation):
    total: int = 0
    value: Any = None


class PlayState(State):
    total: int = 0


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this exception has no text")


def _raise(exc: BaseException) -> NoReturn:
    raise exc


OPS: dict[str, Callable[[PlayAction], Any]] = {
    "echo": lambda action: action.value,
    "huge": lambda action: "x" * action.value,
    "object": lambda action: {"deep": [object()]},
    "raise": lambda action: _raise(ValueError("the pot is empty")),
    "unprintable": lambda action: _raise(Unprintable()),
    "surrogate": lambda action: _raise(ValueError("half a \ud800 pair")),
    "exit": lambda action: _raise(SystemExit(3)),
    "interrupt": lambda action: _raise(KeyboardInterrupt()),
    "cancelled": lambda action: _raise(asyncio.CancelledError()),
    "stop": lambda action: _raise(StopIteration(7)),
    "generator exit": lambda action: _raise(GeneratorExit()),
    "group": lambda action: _raise(ExceptionGroup("two at once", [ValueError("a"), KeyError("b")])),
}
"""Operations that leave the total as it was; what they give is the observation's `value`."""

REWARDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Play(Environment[PlayAction, PlayObservation, PlayState]):
    """Counts in its thread, or on the loop where the app says inline."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.total = 0
        self.steps = 0
        self.episode_id: str | None = None
        self.fail_state: BaseException | None = None
        self.fail_close: BaseException | None = None
        journal.note("built")

    def reset(self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0) -> Any:
        self.total, self.steps, self.episode_id = start, 0, episode_id
        self.journal.note("reset")
        if op == "none":
            return None
        return PlayObservation(total=self.total, value=OPS[op](PlayAction()) if op else seed)

    def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
        if action.op == "wait":
            self._wait(action)
        return self._play(action)

    def _wait(self, action: PlayAction) -> None:
        self.journal.note("waiting")
        assert self.journal.gate("step").wait(BOUND_S)
        self.journal.note("went on")

    def _play(self, action: PlayAction) -> Any:
        self.steps += 1
        if action.op in OPS:
            return PlayObservation(total=self.total, value=OPS[action.op](action))
        if action.op in REWARDS:
            return PlayObservation(total=self.total, reward=REWARDS[action.op])
        if action.op == "fail state":
            self.fail_state = SystemExit("no state")
        elif action.op == "fail close":
            self.fail_close = KeyboardInterrupt()
        elif action.op == "nothing":
            return None
        self.total += action.n
        return PlayObservation(total=self.total, reward=float(action.n), done=action.op == "end")

    @property
    def state(self) -> PlayState:
        if self.fail_state is not None:
            raise self.fail_state
        return PlayState(episode_id=self.episode_id, step_count=self.steps, total=self.total)

    def close(self) -> None:
        self.journal.note("closed")
        if self.fail_close is not None:
            raise self.fail_close


class AsyncPlay(Play):
    """The same on the event loop."""

    async def reset(self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0) -> Any:
        return super().reset(seed, episode_id, op, start)

    async def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
        if action.op == "wait":
            self.journal.note("waiting")
            await self.journal.async_gate("step").wait()
            self.journal.note("went on")
        return self._play(action)


def play_app(journal: Journal, execution: Execution = "inline", **options: Any) -> EnvApp:
    """An app of these environments: sync ones in threads, or async ones on the loop."""
    cls = Play if execution == "thread" else AsyncPlay
    return create_app(
        lambda: cls(journal), PlayAction, PlayObservation, "play", state_cls=PlayState, execution=None, **options
    )
