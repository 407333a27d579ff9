"""Building an environment: factories that raise, give nothing, repeat themselves or take their time."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import pytest
from requirements import requirement
from support.scripted_envs import ERRORS, HERE, Act, Obs, SyncEnv, World, blueprint, blueprint_of, seen, step, throw
from support.servers import bounded

from openenv_async.environment import Execution
from openenv_async.errors import FactoryError
from openenv_async.runtime.executors.factory import start_executor

WAYS: list[Execution | None] = ["inline", "thread", None]


@pytest.fixture(params=WAYS, ids=str)
def execution(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def world() -> World:
    return World()


async def refused(factory: Any, execution: Execution | None = None, **more: Any) -> FactoryError:
    with pytest.raises(FactoryError) as caught:
        await bounded(start_executor(blueprint(factory, execution, **more), "gone", 10))
    return caught.value


async def thread_ends(name: str) -> None:
    """Return when no thread of that session is left."""

    def join() -> None:
        for thread in threading.enumerate():
            if thread.name == name:
                thread.join(10)
                assert not thread.is_alive()

    await asyncio.to_thread(join)


@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_factory_raises_is_a_factory_error(
    execution: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def build() -> None:
        throw(name)

    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"):
        error = await refused(build, execution)
    assert error.message == "Environment factory 'build' failed to create instance."
    assert error.exception_type == type(ERRORS[name]()).__name__
    assert error.factory_name == "build"
    assert "traceback" not in error.details
    await thread_ends("openenv-gone")


async def test_debug_shows_the_traceback_and_the_log_has_it_anyway(caplog: pytest.LogCaptureFixture) -> None:
    def build() -> None:
        throw("ValueError")

    with caplog.at_level(logging.ERROR, "openenv_async"):
        error = await refused(build, debug=True)
    assert "the pot is empty" in (error.traceback or "")
    assert f"[error {error.error_id}]" in caplog.text
    assert "the pot is empty" in caplog.text


class OnlyResets:
    def reset(self) -> Obs:
        return Obs()


class Touchy:
    @property
    def reset(self) -> Any:
        raise SystemExit(5)


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        (lambda: None, "returned NoneType, which has no reset"),
        (lambda: 5, "returned int"),
        (OnlyResets, "returned OnlyResets, which has no reset\\(\\) and step"),
    ],
)
async def test_what_is_no_environment_is_refused(execution: Any, gives: Any, words: str) -> None:
    with pytest.raises(FactoryError, match=words):
        raise await refused(gives, execution)
    await thread_ends("openenv-gone")


async def test_an_object_that_raises_when_it_is_looked_at_is_refused(
    execution: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"):
        assert (await refused(Touchy, execution)).exception_type == "SystemExit"


class Slotted:
    """Cannot be referenced weakly."""

    __slots__ = ()

    def reset(self) -> Obs:
        return Obs()

    def step(self, action: Act) -> Obs:
        return Obs(value=action.value)


@requirement("session:factory-twice")
@pytest.mark.parametrize("cls", [SyncEnv, Slotted])
async def test_an_object_that_comes_twice_is_refused_with_an_explanation(
    cls: Any, execution: Any, world: World
) -> None:
    same = cls() if cls is Slotted else cls(world)
    plan = blueprint(lambda: same, execution)
    first = await bounded(start_executor(plan, "first", 10))
    for _ in range(2):
        with pytest.raises(FactoryError, match=f"same {cls.__name__} object twice; every session needs its own"):
            await bounded(start_executor(plan, "second", 10))
    assert seen(await bounded(first.call(step(value="mine")))) == "mine"
    assert world.journal.count("close") == 0
    await bounded(first.aclose())


@requirement("session:factory-twice")
async def test_an_object_that_comes_again_after_its_close_is_refused_too(execution: Any, world: World) -> None:
    same = SyncEnv(world)
    plan = blueprint(lambda: same, execution)
    await bounded((await bounded(start_executor(plan, "first", 10))).aclose())
    with pytest.raises(FactoryError, match="same SyncEnv object twice"):
        await bounded(start_executor(plan, "second", 10))
    assert world.journal.count("close") == 1


@requirement("session:own-environment")
async def test_a_new_object_at_each_call_is_never_taken_for_an_old_one(execution: Any) -> None:
    """Addresses are used again: an object must not be known by its address alone."""
    plan = blueprint(Slotted, execution)
    kept = blueprint_of("thread sync", World())
    for _ in range(30):
        for each in (plan, kept):
            await bounded((await bounded(start_executor(each, "s", 10))).aclose())


@pytest.mark.parametrize("kind", [kind for kind in HERE if kind != "inline declared"])
async def test_a_factory_that_takes_too_long_is_given_up_and_what_it_built_closed(kind: str, world: World) -> None:
    plan = blueprint_of(kind, world)
    made = plan.factory

    def slow() -> Any:
        world.block()
        return made()

    with pytest.raises(FactoryError, match=r"did not finish within 0\.05 s"):
        await bounded(start_executor(blueprint(slow, plan.execution), "gone", 0.05))
    world.journal.gate("hang").set()
    await world.journal.until("close")
    await thread_ends("openenv-gone")
    assert world.journal.count("close") == world.journal.count("init") == 1
    assert world.threads["close"] == world.threads["init"]


async def test_an_open_that_is_cancelled_closes_what_the_factory_built(world: World) -> None:
    def slow() -> Any:
        world.block()
        return SyncEnv(world)

    opening = asyncio.ensure_future(start_executor(blueprint(slow), "gone", 10))
    await world.journal.until("hangs")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bounded(opening)
    world.journal.gate("hang").set()
    await world.journal.until("close")
    await thread_ends("openenv-gone")
    assert world.journal.count("close") == 1


async def test_a_factory_that_fails_when_nobody_waits_any_longer_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def slow() -> Any:
        world.block()
        raise ValueError("too late")

    with caplog.at_level(logging.ERROR):
        with pytest.raises(FactoryError, match="did not finish"):
            await bounded(start_executor(blueprint(slow), "gone", 0.05))
        world.journal.gate("hang").set()
        await thread_ends("openenv-gone")
        await asyncio.sleep(0)
        gc.collect()
    assert caplog.text.count("too late") >= 1
    assert "never retrieved" not in caplog.text
