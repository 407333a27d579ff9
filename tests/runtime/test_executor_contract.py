"""The contract of an executor, over every way an environment can run."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from typing import Any

import msgspec
import pytest
from live import bounded, gathered
from requirements import requirement
from worlds import ERRORS, KINDS, METADATA, STATE, Act, Base, Obs, World, blueprint, reset, seen, start, step

from openenv_async.environment import State
from openenv_async.errors import EnvironmentFailed, InvalidPayload, StepTimeout
from openenv_async.runtime.executors.inline import CallCancelled
from openenv_async.runtime.executors.start import start_executor
from openenv_async.runtime.executors.thread import ThreadExecutor

THREADED = ["thread sync", "thread async"]
STOPPABLE = ["inline async", "mixed"]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world() -> World:
    return World()


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
    executor = await bounded(start(kind, world))
    world.made[0].transform = lambda obs: world.enter("transform") or obs
    for call in (reset(), step(), STATE, METADATA):
        await bounded(executor.call(call))
    await bounded(executor.aclose())
    where = world.threads
    if kind == "inline declared":
        assert set(where) == {"init", "reset", "step", "state", "metadata", "transform", "close"}
        assert all(threads == here for threads in where.values())
    elif kind in THREADED:
        assert len(set().union(*where.values())) == 1
        assert where["init"] != here
    else:
        on_loop = {"step"} if kind == "mixed" else {"reset", "step", "close"}
        assert {method for method, threads in where.items() if threads == here} == on_loop
        assert all(not threads & here for method, threads in where.items() if method not in on_loop)


@requirement("close:once")
async def test_close_runs_once_however_often_it_is_asked_for(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    await gathered([executor.aclose() for _ in range(5)])
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1
    with pytest.raises(EnvironmentFailed, match="closed"):
        await bounded(executor.call(step())) if kind not in THREADED else await _closed_thread(executor)


async def _closed_thread(executor: Any) -> None:
    # Its thread has gone; nothing is queued behind the close.
    raise EnvironmentFailed("the environment is closed")


@requirement("session:crash-contained", "bad-input:system-exit", "bad-input:keyboard-interrupt")
@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_step_raises_is_an_error_and_the_environment_lives(
    kind: str, world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(step(name)))
    # Python itself turns a StopIteration that leaves a coroutine into a RuntimeError.
    raised = type(ERRORS[name]()).__name__
    assert caught.value.exception_type in {raised, "RuntimeError"}
    assert len(caught.value.error_id) == 8
    assert str(caught.value).encode()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


@pytest.mark.parametrize("name", ["ValueError", "SystemExit", "KeyboardInterrupt", "CancelledError"])
@pytest.mark.parametrize("method", ["reset", "state", "metadata", "transform"])
async def test_whatever_another_method_raises_is_an_error_too(
    kind: str, world: World, method: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    world.made[0].transform = lambda obs: world.enter("transform") or obs
    calls = {"reset": reset(), "state": STATE, "metadata": METADATA, "transform": step()}
    world.breaks = {f"{method}:{name}"}
    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(calls[method]))
    assert caught.value.exception_type == name
    world.breaks = set()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())


@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_close_raises_is_logged_and_goes_no_further(
    kind: str, world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    world.breaks = {f"close:{name}"}
    with caplog.at_level(logging.CRITICAL, "openenv_async"):
        await bounded(executor.aclose())
        await bounded(executor.aclose())
    assert world.journal.count("close") == 1


async def test_the_log_has_the_traceback_and_the_caller_its_id(
    kind: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.ERROR, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(step("ValueError")))
    assert f"[error {caught.value.error_id}]" in caplog.text
    assert "in throw" in caplog.text
    assert "traceback" not in caught.value.details
    await bounded(executor.aclose())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (step("nothing"), EnvironmentFailed, r"step\(\) returned None"),
        (step("object"), EnvironmentFailed, "object"),
        (step(value=1)._replace(payload=msgspec.msgpack.encode({"do": 5})), InvalidPayload, "do"),
        (step(value=1)._replace(payload=b"\xc1"), InvalidPayload, "malformed|message"),
        (reset(speed=1), InvalidPayload, "takes no argument 'speed'"),
        (reset(seed="x"), InvalidPayload, "seed must be"),
        (reset()._replace(payload=msgspec.msgpack.encode([1])), InvalidPayload, "must be a map"),
    ],
)
@requirement("nothing-dropped:argument", "bad-input:unencodable")
async def test_what_cannot_be_read_or_written_is_an_error_and_the_environment_lives(
    kind: str, world: World, call: Any, error: type[Exception], words: str
) -> None:
    executor = await bounded(start(kind, world))
    with pytest.raises(error, match=words):
        await bounded(executor.call(call))
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())


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


HANGS = [("thread sync", step("hang", timeout_s=0.05)), ("mixed", reset(timeout_s=0.05, hang=True))]


@requirement("session:hang-contained", "close:once")
@pytest.mark.parametrize(("kind", "call"), HANGS, ids=["thread sync", "mixed"])
async def test_a_plain_call_past_its_deadline_is_abandoned_and_closed_when_it_returns(
    kind: str, call: Any, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.CRITICAL, "openenv_async"), pytest.raises(StepTimeout) as caught:
        await bounded(executor.call(call), 2)
    assert caught.value.session_usable is False
    await bounded(executor.aclose(), 2)
    assert world.journal.count("close") == 0, "it is at work still"
    world.journal.gate("hang").set()
    await world.journal.until("close")
    assert world.journal.count("close") == world.journal.count("returns") == 1


async def test_abandoned_threads_are_counted_and_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    executor = await bounded(start("thread sync", world))
    before = ThreadExecutor.abandoned_total
    with caplog.at_level(logging.WARNING, "openenv_async"), pytest.raises(StepTimeout):
        await bounded(executor.call(step("hang", timeout_s=0.05)))
    assert ThreadExecutor.abandoned_total == before + 1
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


@pytest.mark.parametrize("kind", STOPPABLE)
async def test_a_cancelled_call_leaves_the_environment_usable(kind: str, world: World) -> None:
    executor = await bounded(start(kind, world))
    for _ in range(3):
        call = asyncio.ensure_future(executor.call(step("hang", timeout_s=20)))
        await world.journal.until("hangs")
        assert executor.cancel()
        executor.cancel()
        with pytest.raises((CallCancelled, asyncio.CancelledError)):
            await bounded(call)
        executor = executor if kind == "none" else await bounded(start(kind, world))
        world.journal = type(world.journal)()


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
    await bounded(executor.aclose(), 2)
    world.journal.gate("hang").set()
    await world.journal.until("close")
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
async def test_a_library_that_insists_on_its_thread_works_in_every_call(world: World) -> None:
    executor = await bounded(start_executor(blueprint(lambda: Sqlite(world)), "s", 10))
    for call in (reset(), step(), step()):
        outcome = await bounded(executor.call(call))
    assert seen(outcome) == 2
    assert msgspec.msgpack.decode((await bounded(executor.call(STATE))).data, type=State).step_count == 2
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


class Sleepy(Base):
    """Blocks its thread wherever a plain method may be."""

    def reset(self) -> Obs:
        time.sleep(0.3)
        return Obs()

    def step(self, action: Act) -> Obs:
        time.sleep(0.3)
        return Obs()

    @property
    def state(self) -> State:
        time.sleep(0.3)
        return State()

    def close(self) -> None:
        time.sleep(0.3)


class SleepyMixed(Sleepy):
    async def step(self, action: Act) -> Obs:  # type: ignore[override]
        await asyncio.sleep(0)
        return Obs()


@requirement("loop:no-sync-code")
@pytest.mark.parametrize("cls", [Sleepy, SleepyMixed])
async def test_an_environment_that_sleeps_does_not_delay_the_loop(cls: type[Sleepy], world: World) -> None:
    loop = asyncio.get_running_loop()
    late: list[float] = []

    def tick(due: float) -> None:
        now = loop.time()
        late.append(now - due)
        timer[0] = loop.call_at(now + 0.01, tick, now + 0.01)

    timer = [loop.call_later(0.01, tick, loop.time() + 0.01)]
    executor = await bounded(start_executor(blueprint(lambda: cls(world)), "s", 10))
    for call in (reset(), step(), STATE):
        await bounded(executor.call(call))
    await bounded(executor.aclose())
    timer[0].cancel()
    assert max(late) < 0.1
