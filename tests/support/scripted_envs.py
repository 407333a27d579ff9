"""Environments of every shape that one script plays, and a record of what they did and on which thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.environment import EnvironmentMetadata, Execution, Observation, State
from openenv_async.errors import SessionLost, StepTimeout
from openenv_async.limits import Limits
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.factory import start_executor
from openenv_async.runtime.processes.options import ProcessOptions
from openenv_async.runtime.processes.pool import ProcessPool
from support.servers import BOUND_S, Journal
from support.shared_journal import SharedJournal


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """What an environment is to do: a name of `DEEDS`, `hang`, or nothing in particular."""

    do: str = "echo"
    value: Any = None
    refuse: str = ""
    """The name of what this validator raises."""

    def __post_init__(self) -> None:
        if self.refuse:
            throw(self.refuse)


class Obs(Observation):
    value: Any = None


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("the pot is empty"),
    "Unprintable": Unprintable,
    "LoneSurrogate": lambda: ValueError("\ud800"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": lambda: StopIteration(7),
    "StopAsyncIteration": StopAsyncIteration,
    "TimeoutError": TimeoutError,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    # An environment may play on another server of ours; its errors are not this session's.
    "SessionLost": lambda: SessionLost("of another session"),
    "StepTimeout": lambda: StepTimeout("of another session", session_usable=False),
}


def throw(name: str) -> NoReturn:
    raise ERRORS[name]()


class World:
    """What all environments of one test share."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.made: list[Any] = []
        self.threads: dict[str, set[int]] = {}
        self.step_timeout_s: float | None = None
        """What the environments' class says."""
        self.breaks: set[str] = set()
        """`method:error` of what is to raise."""

        self.transforming = False
        """Whether environments have a `transform`."""

        self.most_alive = 0

    @property
    def alive(self) -> int:
        """Environments that noted `alive` and did not yet note `close`."""
        return self.journal.count("alive") - self.journal.count("close")

    def enter(self, what: str) -> None:
        """Note that a method began, and where; raise what it is to raise."""
        self.threads.setdefault(what, set()).add(threading.get_ident())
        self.journal.note(what)
        for entry in sorted(self.breaks):
            method, _, name = entry.partition(":")
            if method == what:
                throw(name)

    def transform(self, obs: Obs) -> Obs:
        """What an environment's `transform` may be."""
        self.enter("transform")
        return obs

    def block(self) -> None:
        """Hang as code that cannot be cancelled does, until the test opens the gate."""
        self.journal.note("hangs")
        assert self.journal.gate("hang").wait(BOUND_S)
        self.journal.note("returns")


class SharedWorld(World):
    """One whose environments are in other processes."""

    journal: SharedJournal

    def __init__(self) -> None:
        super().__init__()
        self.journal = SharedJournal()

    @property
    def threads(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for entry in self.journal.entries:
            kind, _, rest = entry.partition(" ")
            if kind == "thread" and rest.count(" ") > 1:
                pid, tid, what = rest.split(" ", 2)
                found.setdefault(what, set()).add(hash((pid, tid)))
        return found

    @threads.setter
    def threads(self, value: dict[str, set[int]]) -> None:
        assert not value

    @property
    def breaks(self) -> set[str]:
        try:
            return set((self.journal.folder / "breaks").read_text().split())
        except FileNotFoundError:
            return set()

    @breaks.setter
    def breaks(self, value: set[str]) -> None:
        if isinstance(self.journal, SharedJournal):
            (self.journal.folder / "breaks").write_text(" ".join(value))

    def enter(self, what: str) -> None:
        self.journal.note(f"thread {os.getpid()} {threading.get_ident()} {what}")
        super().enter(what)


class Base:
    """The parts that every shape shares. Not an `Environment`: the runtime plays whatever has the methods."""

    transform: Any = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.step_timeout_s = world.step_timeout_s
        self.transform = world.transform if world.transforming else None
        world.made.append(self)
        world.enter("init")

    @property
    def state(self) -> State:
        self.world.enter("state")
        return State(episode_id="e", step_count=self.count)

    def get_metadata(self) -> EnvironmentMetadata:
        self.world.enter("metadata")
        return EnvironmentMetadata(name="n", description="d")

    def _reset(self, seed: int | None) -> Obs:
        self.world.enter("reset")
        self.count = 0
        return Obs(value=seed)

    def _step(self, action: Act) -> Obs | None:
        self.world.enter("step")
        self.count += 1
        if action.do in ERRORS:
            throw(action.do)
        if action.do == "object":
            return Obs(value=object())
        return None if action.do == "nothing" else Obs(value=action.value, reward=1.0)

    def _close(self) -> None:
        self.world.enter("close")


class SyncEnv(Base):
    def reset(self, seed: int | None = None, hang: bool = False) -> Obs:
        if hang:
            self.world.block()
        return self._reset(seed)

    def step(self, action: Act) -> Obs | None:
        if action.do == "hang":
            self.world.block()
        return self._step(action)

    def close(self) -> None:
        self._close()


class AsyncEnv(Base):
    async def reset(self, seed: int | None = None, hang: bool = False) -> Obs:
        await asyncio.sleep(0)
        return self._reset(seed)

    async def step(self, action: Act) -> Obs | None:
        if action.do == "hang":
            self.world.journal.note("hangs")
            try:
                await asyncio.Event().wait()
            finally:
                self.world.journal.note("returns")
        await asyncio.sleep(0)
        return self._step(action)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self._close()


class MixedEnv(Base):
    """`async def step`, everything else plain."""

    reset = SyncEnv.reset
    close = SyncEnv.close
    step = AsyncEnv.step


KINDS: dict[str, tuple[type[Base], Execution | None]] = {
    "inline async": (AsyncEnv, None),
    "inline declared": (SyncEnv, "inline"),
    "thread sync": (SyncEnv, None),
    "thread async": (AsyncEnv, "thread"),
    "mixed": (MixedEnv, None),
    "process sync": (SyncEnv, "process"),
    "process async": (AsyncEnv, "process"),
    "process mixed": (MixedEnv, "process"),
    "process packed": (SyncEnv, "process"),
    "process packed async": (AsyncEnv, "process"),
}
"""Every way an environment can run: its class, and what its author declares."""


HERE = [kind for kind in KINDS if not kind.startswith("process")]
"""Those whose environments live in the test's own process."""


def world_for(kind: str) -> World:
    """Make a world that environments of this kind can share with the test."""
    return World() if kind in HERE else SharedWorld()


def blueprint(
    factory: Callable[[], Any], execution: Execution | None = None, *, packed: bool = False, **more: Any
) -> Blueprint:
    if execution == "process" and "launcher" not in more:
        options = ProcessOptions(spare_processes=0, sessions_per_process=2 if packed else 1)
        more["launcher"] = ProcessPool(options, Limits(close_timeout_s=5.0))
    return Blueprint(
        factory=factory,
        name="world",
        action=codec_for(Act),
        observation=observation_codec_for(Obs),
        state=codec_for(State),
        execution=execution,
        **more,
    )


def blueprint_of(kind: str, world: World, **more: Any) -> Blueprint:
    cls, execution = KINDS[kind]

    def factory() -> Any:
        return cls(world)

    return blueprint(factory, execution, packed="packed" in kind, **more)


async def start(kind: str, world: World, timeout_s: float | None = BOUND_S) -> Executor:
    return await start_executor(blueprint_of(kind, world), "s1", timeout_s)


def step(do: str = "echo", value: Any = None, timeout_s: float | None = None) -> Call:
    return Call("step", msgspec.msgpack.encode({"do": do, "value": value}), Wire.NATIVE, timeout_s)


def reset(timeout_s: float | None = None, **arguments: Any) -> Call:
    return Call("reset", msgspec.msgpack.encode(arguments), Wire.NATIVE, timeout_s)


STATE = Call("state", b"", Wire.NATIVE)
METADATA = Call("metadata", b"", Wire.HTTP)


def seen(outcome: Outcome) -> Any:
    """Give the value of an observation's bytes."""
    return observation_codec_for(Obs).decode_native(outcome.data).observation.value
