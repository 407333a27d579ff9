"""The contract of an executor, over every way an environment can run: deadlines, cancelling, threads given up."""

from __future__ import annotations

import asyncio
import logging

import pytest
from requirements import requirement
from support.scripted_envs import KINDS, World, reset, seen, start, step, world_for
from support.servers import bounded, gathered

from openenv_async.errors import EnvironmentFailed, StepTimeout
from openenv_async.runtime.calls import CallCancelled
from openenv_async.runtime.executors.thread import AbandonedThreads

STOPPABLE = ["inline async", "mixed", "process async", "process packed async"]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """Of the kind that the test is parametrized with, if it is."""
    callspec = getattr(request.node, "callspec", None)
    return world_for(callspec.params.get("kind", "thread sync") if callspec else "thread sync")


@pytest.mark.parametrize("kind", STOPPABLE)
async def test_a_step_past_its_deadline_is_cancelled_and_the_environment_lives(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    with pytest.raises(StepTimeout) as caught:
        await bounded(executor.call(step("hang", timeout_s=0.05)))
    assert caught.value.session_usable is True
    assert caught.value.timeout_s == 0.05
    assert world.journal.count("returns") == 1
    assert seen(await bounded(executor.call(step(value="alive", timeout_s=5)))) == "alive"
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


HANGS = {
    "thread sync": step("hang", timeout_s=0.05),
    "thread async": step("hang", timeout_s=0.05),
    "mixed": reset(timeout_s=0.05, hang=True),
}


@requirement("session:hang-contained", "close:once")
@pytest.mark.parametrize("kind", HANGS)
async def test_a_plain_call_past_its_deadline_is_abandoned_and_closed_when_it_returns(
    kind: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.CRITICAL, "openenv_async"), pytest.raises(StepTimeout) as caught:
        await bounded(executor.call(HANGS[kind]))
    assert caught.value.session_usable is False
    await bounded(executor.aclose())
    # A coroutine in a thread is cancelled, and so returns by itself.
    assert world.journal.count("close") == 0 or kind == "thread async"
    world.journal.gate("hang").set()
    await world.journal.until("close")
    assert world.journal.count("close") == world.journal.count("returns") == 1


async def test_abandoned_threads_are_counted_and_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    executor = await bounded(start("thread sync", world))
    before = AbandonedThreads.total
    with caplog.at_level(logging.WARNING, "openenv_async"), pytest.raises(StepTimeout):
        await bounded(executor.call(step("hang", timeout_s=0.05)))
    assert AbandonedThreads.total == before + 1
    assert "abandoned" in caplog.text
    await bounded(executor.aclose())
    world.journal.gate("hang").set()
    await world.journal.until("close")


async def test_many_hung_calls_take_nothing_from_the_others(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The pool of `asyncio.to_thread`, and anyio's, have a few dozen threads: forty-five hang here."""
    with caplog.at_level(logging.CRITICAL, "openenv_async"):
        executors = [await bounded(start("mixed", world)) for _ in range(45)]
        calls = [asyncio.ensure_future(executor.call(reset(timeout_s=10, hang=True))) for executor in executors]
        await world.journal.until("hangs", len(calls))
        other = await bounded(start("mixed", world))
        assert seen(await bounded(other.call(reset(seed=1)), 5)) == 1
        world.journal.gate("hang").set()
        await gathered(calls)
        await gathered([executor.aclose() for executor in [*executors, other]])
    assert world.journal.count("close") == 46


@pytest.mark.parametrize("timeout_s", [None, 20.0])
@pytest.mark.parametrize("kind", STOPPABLE)
async def test_a_cancelled_call_leaves_the_environment_usable(kind: str, timeout_s: float | None, world: World) -> None:
    executor = await bounded(start(kind, world))

    async def session() -> None:
        """One task makes all calls of an executor, as a session's does."""
        for _ in range(3):
            with pytest.raises(CallCancelled):
                await executor.call(step("hang", timeout_s=timeout_s))
        assert seen(await executor.call(step(value="alive", timeout_s=timeout_s))) == "alive"

    playing = asyncio.ensure_future(session())
    for times in (1, 2, 3):
        await world.journal.until("hangs", times)
        assert executor.cancel()
        executor.cancel()
    await bounded(playing)
    assert world.journal.count("returns") == 3
    await bounded(executor.aclose())


async def test_a_coroutine_in_a_thread_can_be_cancelled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    executor = await bounded(start("thread async", world))
    call = asyncio.ensure_future(executor.call(step("hang")))
    await world.journal.until("hangs")
    assert executor.cancel()
    with caplog.at_level(logging.CRITICAL, "openenv_async"), pytest.raises(EnvironmentFailed):
        await bounded(call)
    assert not executor.cancel()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())


async def test_a_call_in_a_thread_cannot_be_cancelled(world: World) -> None:
    executor = await bounded(start("thread sync", world))
    call = asyncio.ensure_future(executor.call(step("hang", value=1)))
    await world.journal.until("hangs")
    assert not executor.cancel()
    world.journal.gate("hang").set()
    assert seen(await bounded(call)) == 1
    await bounded(executor.aclose())


@requirement("close:client-gone")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "inline declared"])
async def test_a_task_that_is_cancelled_during_a_step_closes_the_environment_once(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    call = asyncio.ensure_future(executor.call(step("hang") if kind != "mixed" else reset(hang=True)))
    await world.journal.until("hangs")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bounded(call)
    await bounded(executor.aclose())
    world.journal.gate("hang").set()
    await world.journal.until("close")
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1
