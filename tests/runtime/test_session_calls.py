"""One session's calls: their order, their end, and what becomes of those that nobody waits for."""

from __future__ import annotations

import asyncio
import logging

import pytest
from requirements import requirement
from support.scripted_envs import STATE, reset, seen, step
from support.servers import bounded
from support.sinks import House

from openenv_async.errors import EnvironmentFailed, PayloadTooLarge, ServerClosing, SessionLost, StepTimeout
from openenv_async.protocol.session_states import State
from openenv_async.runtime.request_session import open_request_session

KINDS = pytest.mark.parametrize("kind", ["inline async", "inline declared", "thread sync", "mixed"])


@KINDS
async def test_results_come_once_and_in_the_order_of_the_requests(kind: str) -> None:
    house = House(kind)
    session, notes = await house.open()
    session.submit(1, reset(seed=0))
    for rid in range(2, 40):
        session.submit(rid, step(value=rid) if rid % 5 else STATE)
    await notes.until(results=39)
    assert notes.rids == list(range(1, 40))
    assert (session.episodes, session.steps) == (1, sum(rid % 5 != 0 for rid in range(2, 40)))
    session.close()
    await notes.until(over=True)
    assert notes.error is None
    assert house.counts == (1, 1)
    assert house.is_empty


async def test_a_session_that_retires_during_a_call_ends_when_its_client_pauses_after_it() -> None:
    house = House("thread sync")
    session, notes = await house.open()
    session.submit(1, reset(seed=0))
    await notes.until(results=1)
    session.submit(2, step("hang", value="last"))
    await house.world.journal.until("hangs")
    session.retire(ServerClosing("the server is stopping"), idle_s=0.01)
    house.world.journal.gate("hang").set()
    await notes.until(results=2, over=True)
    assert seen(await notes.result(2)) == "last"
    assert isinstance(notes.error, ServerClosing)
    assert house.counts == (1, 1)


async def test_the_outcome_of_a_call_in_a_thread_goes_nowhere_once_the_session_was_ended_under_it() -> None:
    house = House("thread sync")
    session, notes = await house.open()
    session.submit(1, step("hang"))
    await house.world.journal.until("hangs")
    assert session.task is not None
    session.task.cancel()
    await notes.until(over=True)
    house.world.journal.gate("hang").set()
    await house.world.journal.until("close")
    assert notes.results == []
    assert house.counts == (1, 1)


async def test_what_is_queued_and_cancelled_is_never_begun() -> None:
    house = House()
    session, notes = await house.open()
    session.submit(1, step("hang", value="first"))
    await house.world.journal.until("hangs")
    for rid in (2, 3, 4):
        session.submit(rid, step(value=rid))
    session.cancel(3)
    session.cancel(99)
    house.world.journal.gate("hang").set()
    await notes.until(results=3)
    assert notes.rids == [1, 2, 4]
    assert house.world.journal.count("step") == 3
    session.close()
    await notes.until(over=True)


@requirement("step:no-mispairing", "client:cancelled-call")
@pytest.mark.parametrize(("kind", "stoppable"), [("inline async", True), ("thread sync", False)])
async def test_a_call_that_is_cancelled_in_flight_is_not_delivered_and_the_next_one_is(
    kind: str, stoppable: bool
) -> None:
    house = House(kind)
    session, notes = await house.open()
    session.submit(1, step("hang"))
    await house.world.journal.until("hangs")
    session.cancel(1)
    session.cancel(1)
    session.submit(2, step(value="second"))
    if not stoppable:
        assert notes.results == []
        house.world.journal.gate("hang").set()
    assert seen(await notes.result()) == "second"
    assert notes.rids == [2]
    session.close()
    await notes.until(over=True)
    assert house.counts == (1, 1)


async def test_a_cancel_and_a_close_while_the_environment_cleans_up_after_its_deadline() -> None:
    house = House("inline async")
    session, notes = await house.open()
    cleaning, done = asyncio.Event(), asyncio.Event()

    async def stubborn(action: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await done.wait()

    house.world.made[0].step = stubborn
    session.submit(1, step(timeout_s=0.05))
    await bounded(cleaning.wait())
    session.cancel(1)
    session.close()
    done.set()
    await notes.until(over=True)
    assert notes.results == []
    assert house.counts == (1, 1)


async def test_an_environment_that_swallows_its_cancellation_goes_on() -> None:
    house = House("inline async")
    session, notes = await house.open()
    env, hangs = house.world.made[0], asyncio.Event()
    usual = env.step

    async def swallow(action: object) -> object:
        try:
            hangs.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return await usual(action)

    env.step = swallow
    session.submit(1, step("echo", value=1))
    await bounded(hangs.wait())
    session.cancel(1)
    await house.world.journal.until("step")
    env.step = usual
    session.submit(2, step(value=2))
    assert seen(await notes.result()) == 2
    assert notes.rids == [2]
    session.close()
    await notes.until(over=True)
    assert house.counts == (1, 1)


@pytest.mark.parametrize("source", ["call", "class", "limits"])
async def test_a_deadline_comes_from_the_call_or_the_class_or_the_limits(source: str) -> None:
    house = House("inline async", step_timeout_s={"limits": 0.05}.get(source, 30.0))
    session, notes = house.begin()
    if source == "class":
        await notes.until(opened=True)
        session.step_timeout_s = 0.05
    session.submit(1, step("hang", timeout_s=0.05 if source == "call" else None))
    with pytest.raises(StepTimeout) as caught:
        await notes.result()
    assert (caught.value.timeout_s, caught.value.session_usable) == (0.05, True)
    session.submit(2, step(value="alive"))
    assert seen(await notes.result(2)) == "alive"
    session.close()
    await notes.until(over=True)


async def test_the_class_says_what_a_call_may_take() -> None:
    house = House("inline async")
    house.world.step_timeout_s = 0.05
    session, notes = await house.open()
    session.submit(1, step("hang"))
    with pytest.raises(StepTimeout):
        await notes.result()
    session.close()
    await notes.until(over=True)


@requirement("session:hang-contained", "slot:freed", "close:once")
@pytest.mark.parametrize(
    ("kind", "call"), [("thread sync", step("hang", timeout_s=0.05)), ("mixed", reset(timeout_s=0.05, hang=True))]
)
async def test_a_hung_thread_breaks_its_session_and_frees_its_slot(
    kind: str, call: object, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(kind, max_sessions=1)
    session, notes = await house.open()
    session.submit(1, call)  # type: ignore[arg-type]
    session.submit(2, step(value="never"))
    with caplog.at_level(logging.CRITICAL, "openenv_async"):
        await notes.until(over=True)
    assert [type(outcome) for _, outcome in notes.results] == [StepTimeout]
    assert session.was_broken
    assert session.state.now is State.CLOSED
    assert house.is_empty
    assert house.counts == (1, 0)
    other, other_notes = await house.open()
    house.world.journal.gate("hang").set()
    await house.world.journal.until("close")
    assert house.counts == (2, 1)
    other.close()
    await other_notes.until(over=True)


async def test_a_result_over_the_limit_is_an_error_that_names_it_and_the_session_lives() -> None:
    house = House("inline async", max_message_bytes=1000)
    session, notes = await house.open()
    session.submit(1, step(value="x" * 2000))
    with pytest.raises(PayloadTooLarge, match="1,000") as caught:
        await notes.result()
    assert caught.value.limit == 1000
    session.submit(2, step(value="alive"))
    assert seen(await notes.result(2)) == "alive"
    session.close()
    await notes.until(over=True)


async def test_the_next_call_waits_until_the_sink_has_passed_the_result_on() -> None:
    house = House("inline async")
    session, notes = await house.open()
    notes.gate = asyncio.Event()
    session.submit(1, step())
    session.submit(2, step())
    await notes.until(results=1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert house.world.journal.count("step") == 1
    notes.gate.set()
    await notes.until(results=2)
    session.close()
    await notes.until(over=True)


@requirement("session:crash-contained")
async def test_an_environment_that_raises_costs_its_own_call() -> None:
    house = House()
    (one, notes), (other, other_notes) = await house.open(), await house.open()
    one.submit(1, step("SystemExit"))
    one.submit(2, step(value="alive"))
    other.submit(1, step(value="alive"))
    await notes.until(results=2)
    assert isinstance(notes.results[0][1], EnvironmentFailed)
    assert seen(await notes.result(2)) == seen(await other_notes.result()) == "alive"
    one.close()
    other.close()
    await notes.until(over=True)
    await other_notes.until(over=True)
    assert house.counts == (2, 2)


async def test_a_direct_session_is_called_and_awaited() -> None:
    house = House()
    direct = await bounded(open_request_session(house.registry))
    assert seen(await bounded(direct.call(step(value=1)))) == 1
    with pytest.raises(EnvironmentFailed):
        await bounded(direct.call(step("ValueError")))
    waiting = asyncio.ensure_future(direct.call(step("hang")))
    await house.world.journal.until("hangs")
    closing = asyncio.ensure_future(direct.aclose())
    house.world.journal.gate("hang").set()
    await bounded(closing)
    with pytest.raises(SessionLost):
        await bounded(waiting)
    with pytest.raises(SessionLost):
        await bounded(direct.call(step()))
    await bounded(direct.aclose())
    assert house.counts == (1, 1)
    assert house.is_empty
