"""The contract of an executor, over every way an environment can run: where its code runs, and its one close."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from requirements import requirement
from support.scripted_envs import (
    KINDS,
    METADATA,
    STATE,
    Act,
    Base,
    Obs,
    World,
    blueprint,
    reset,
    seen,
    start,
    step,
    world_for,
)
from support.servers import BOUND_S, bounded, gathered

from openenv_async.environment import State
from openenv_async.runtime.executors.factory import start_executor

T = TypeVar("T")

PINNED = ["thread sync", "thread async", "process sync", "process async", "process mixed", "process packed"]
"""All of an environment's code runs in one thread: the session's, or its process's."""


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(kind: str) -> World:
    return world_for(kind)


async def test_every_call_reaches_the_environment(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    assert seen(await bounded(executor.call(reset(seed=5)))) == 5
    assert seen(await bounded(executor.call(step(value=[1, "a"])))) == [1, "a"]
    state = await bounded(executor.call(STATE))
    assert msgspec.msgpack.decode(state.data, type=State) == State(episode_id="e", step_count=1)
    assert msgspec.json.decode((await bounded(executor.call(METADATA))).data)["name"] == "n"
    await bounded(executor.aclose())


@requirement("loop:no-sync-code", "close:own-thread")
async def test_no_plain_code_runs_on_the_loop_unless_declared(kind: str, world: World) -> None:
    here = {threading.get_ident()}
    world.transforming = True
    executor = await bounded(start(kind, world))
    for call in (reset(), step(), STATE, METADATA):
        await bounded(executor.call(call))
    await bounded(executor.aclose())
    where = world.threads
    if kind == "inline declared":
        assert set(where) == {"init", "reset", "step", "state", "metadata", "transform", "close"}
        assert all(threads == here for threads in where.values())
    elif kind in PINNED:
        assert len(set().union(*where.values())) == 1
        assert where["init"] != here
    else:
        here = world.threads["step"] if kind == "process packed async" else here
        on_loop = {"step"} if kind == "mixed" else {"reset", "step", "close"}
        assert {method for method, threads in where.items() if threads == here} == on_loop
        assert all(not threads & here for method, threads in where.items() if method not in on_loop)


@requirement("close:once")
async def test_close_runs_once_however_often_it_is_asked_for(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    await gathered([executor.aclose() for _ in range(5)])
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


class Sqlite(Base):
    """sqlite3 refuses every thread but the one that made the connection."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create table steps (n)")

    def reset(self) -> Obs:
        self.db.execute("delete from steps")
        return Obs()

    def step(self, action: Act) -> Obs:
        self.db.execute("insert into steps values (1)")
        return Obs(value=self.db.execute("select count(*) from steps").fetchone()[0])

    @property
    def state(self) -> State:
        return State(step_count=self.db.execute("select count(*) from steps").fetchone()[0])

    def close(self) -> None:
        self.db.close()
        self.world.journal.note("close")


@requirement("close:own-thread")
@pytest.mark.parametrize("kind", ["thread sync", "process sync", "process packed"])
async def test_a_library_that_insists_on_its_thread_works_in_every_call(kind: str, world: World) -> None:
    plan = blueprint(lambda: Sqlite(world), KINDS[kind][1], packed="packed" in kind)
    executor = await bounded(start_executor(plan, "s", 10))
    for call in (reset(), step(), step()):
        outcome = await bounded(executor.call(call))
    assert seen(outcome) == 2
    assert msgspec.msgpack.decode((await bounded(executor.call(STATE))).data, type=State).step_count == 2
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


class Sleepy(Base):
    """Blocks its thread wherever a plain method may be, until somebody else goes on."""

    def _sleep(self, what: str) -> None:
        self.world.journal.note(f"in {what}")
        assert self.world.journal.gate(what).wait(BOUND_S)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._sleep("init")

    def reset(self) -> Obs:
        self._sleep("reset")
        return Obs()

    def step(self, action: Act) -> Obs:
        self._sleep("step")
        return Obs()

    @property
    def state(self) -> State:
        self._sleep("state")
        return State()

    def close(self) -> None:
        self._sleep("close")


class SleepyMixed(Sleepy):
    async def step(self, action: Act) -> Obs:  # type: ignore[override]
        await asyncio.sleep(0)
        return Obs()


@requirement("loop:no-sync-code")
@pytest.mark.parametrize("cls", [Sleepy, SleepyMixed])
@pytest.mark.parametrize("kind", ["thread sync", "process sync"])
async def test_an_environment_that_sleeps_does_not_hold_the_loop(kind: str, cls: type[Sleepy], world: World) -> None:
    async def woken(what: str, call: Coroutine[Any, Any, T]) -> T:
        """Make a call whose code waits for this very loop."""
        task = asyncio.create_task(call)
        if what != "step" or cls is Sleepy:
            await world.journal.until(f"in {what}")
            world.journal.gate(what).set()
        return await bounded(task)

    executor = await woken("init", start_executor(blueprint(lambda: cls(world), KINDS[kind][1]), "s", 30))
    for what, call in (("reset", reset()), ("step", step()), ("state", STATE)):
        await woken(what, executor.call(call))
    await woken("close", executor.aclose())
