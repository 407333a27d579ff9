"""How sessions end: closed, idle, left by their client, drained; `close()` runs once and the slot is free."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from requirements import requirement
from support.scripted_envs import KINDS, reset, seen, step
from support.servers import bounded, gathered
from support.sinks import House

from openenv_async.errors import CapacityError, ServerClosing
from openenv_async.runtime.calls import Outcome

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
HANGING = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "inline declared"])


def hang(kind: str) -> object:
    return reset(hang=True) if kind == "mixed" else step("hang")


@requirement("close:once", "slot:freed")
@EVERY_KIND
async def test_a_session_that_is_closed_frees_its_slot(kind: str) -> None:
    house = House(kind, max_sessions=1)
    for _ in range(3):
        session, notes = await house.open()
        assert house.registry.active == 1
        session.close()
        session.close()
        await notes.until(over=True)
        assert notes.error is None
        assert house.is_empty
    assert house.counts == (3, 3)


@requirement("close:client-gone", "slot:freed")
@HANGING
async def test_a_client_that_vanishes_during_a_call(kind: str) -> None:
    house = House(kind, max_sessions=1)
    session, notes = await house.open()
    session.submit(1, hang(kind))  # type: ignore[arg-type]
    await house.world.journal.until("hangs")
    session.close()
    if kind in ("thread sync", "mixed", "process sync", "process packed"):
        await asyncio.sleep(0)
        assert house.registry.active == 1, "the call is at work still"
        house.world.journal.gate("hang").set()
    await notes.until(over=True)
    assert notes.results == []
    assert house.counts == (1, 1)
    assert house.is_empty


@requirement("idle:nothing-in-flight")
async def test_a_session_is_idle_only_when_nothing_is_in_flight() -> None:
    house = House()
    session, notes = await house.open(idle_timeout_s=0.1)
    session.submit(1, step("hang", value="done"))
    await house.world.journal.until("hangs")
    with pytest.raises(TimeoutError):
        await notes.until(over=True, timeout_s=0.3)
    house.world.journal.gate("hang").set()
    assert seen(await notes.result()) == "done"
    await notes.until(over=True)
    assert notes.error is None
    assert house.counts == (1, 1)
    assert house.is_empty


@requirement("idle:nothing-in-flight")
@pytest.mark.parametrize("submit_s", [0.045, 0.055], ids=["before the timer", "after the timer"])
async def test_a_request_in_the_turn_in_which_the_time_runs_out_is_heard(submit_s: float) -> None:
    house = House("inline async")
    loop = asyncio.get_running_loop()
    session, notes = await house.open(idle_timeout_s=0.05)
    # The loop is held until both the timer and the request are due: they happen in one turn.
    loop.call_later(0.02, time.sleep, 0.06)
    loop.call_later(submit_s, session.submit, 1, step(value="heard"))
    assert seen(await notes.result()) == "heard"
    await notes.until(over=True)
    assert house.is_empty


async def test_a_close_that_hangs_is_left_behind_in_time_and_said(caplog: pytest.LogCaptureFixture) -> None:
    house = House("inline async", max_sessions=1, close_timeout_s=0.05)
    session, notes = await house.open()
    gone = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    house.world.made[0].close = never
    with caplog.at_level(logging.WARNING, "openenv_async"):
        session.close()
        await notes.until(over=True)
    await bounded(gone.wait())
    assert "did not finish within 0.05 s" in caplog.text
    assert house.is_empty


async def test_a_plain_close_that_hangs_is_left_behind_too(caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("thread sync", "mixed"):
        house = House(kind, max_sessions=1, close_timeout_s=0.05)
        session, notes = await house.open()
        house.world.made[0].close = house.world.block
        with caplog.at_level(logging.WARNING, "openenv_async"):
            session.close()
            await notes.until(over=True)
        assert house.is_empty
        house.world.journal.gate("hang").set()
        await house.world.journal.until("returns")
    assert caplog.text.count("did not finish within 0.05 s") == 2


@requirement("close:server-stops")
@EVERY_KIND
async def test_a_drain_closes_every_environment_once(kind: str) -> None:
    house = House(kind, max_sessions=3)
    living = [await house.open() for _ in range(3)]
    waiting = [house.begin(wait_s=30) for _ in range(2)]
    await bounded(house.registry.drain(5.0))
    await bounded(house.registry.drain(5.0))
    for _, notes in [*living, *waiting]:
        await notes.until(over=True)
        assert isinstance(notes.error, ServerClosing)
    assert house.counts == (3, 3)
    assert house.is_empty
    _, late = house.begin(wait_s=5)
    await late.until(over=True)
    assert isinstance(late.error, ServerClosing)
    assert not late.opened_


@requirement("close:server-stops")
async def test_a_drain_lets_calls_in_flight_finish_and_begins_no_other() -> None:
    house = House()
    session, notes = await house.open()
    session.submit(1, step("hang", value="finished"))
    session.submit(2, step(value="not begun"))
    await house.world.journal.until("hangs")
    draining = asyncio.ensure_future(house.registry.drain(10.0))
    await asyncio.sleep(0)
    assert not notes.over
    house.world.journal.gate("hang").set()
    await bounded(draining)
    assert [seen(outcome) for _, outcome in notes.results if isinstance(outcome, Outcome)] == ["finished"]
    assert isinstance(notes.error, ServerClosing)
    assert house.counts == (1, 1)


@requirement("close:server-stops")
@HANGING
async def test_a_drain_does_not_wait_longer_than_its_grace_and_every_close_runs(kind: str) -> None:
    house = House(kind)
    pairs = [await house.open() for _ in range(3)]
    for session, _ in pairs:
        session.submit(1, hang(kind))  # type: ignore[arg-type]
    await house.world.journal.until("hangs", 3)
    await bounded(house.registry.drain(0.05))
    for _, notes in pairs:
        await notes.until(over=True)
    assert house.is_empty
    house.world.journal.gate("hang").set()
    await house.world.journal.until("close", 3)
    assert house.counts == (3, 3)
    await house.left()


@requirement("close:server-stops")
async def test_a_drain_does_not_cut_a_close_short_that_outlasts_its_grace() -> None:
    house = House("inline async")
    session, notes = await house.open()
    inside, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        inside.set()
        await go_on.wait()
        ended.set()

    house.world.made[0].close = slow
    session.close()
    await bounded(inside.wait())
    draining = asyncio.ensure_future(house.registry.drain(0.05))
    await asyncio.wait([draining], timeout=0.2)
    go_on.set()
    await bounded(draining)
    assert ended.is_set()
    await notes.until(over=True)
    assert house.is_empty


async def test_a_session_that_is_closed_while_it_waits_or_is_built_leaves_nothing() -> None:
    house = House(max_sessions=1)
    first, first_notes = await house.open()
    waiting, notes = house.begin(wait_s=30)
    never_began, unbegun_notes = house.begin(wait_s=30)
    never_began.close()
    await asyncio.sleep(0)
    assert house.registry.waiting == 1
    waiting.close()
    waiting.close()
    for one in (notes, unbegun_notes):
        await one.until(over=True)
        assert not one.opened_
    first.close()
    await first_notes.until(over=True)
    assert house.is_empty
    assert house.counts == (1, 1)


async def test_a_full_registry_says_how_full_it_is() -> None:
    house = House(max_sessions=2)
    pairs = [await house.open() for _ in range(2)]
    _, waiting = house.begin(wait_s=30)
    await asyncio.sleep(0)
    for wait_s in (0.0, 0.05):
        _, notes = house.begin(wait_s=wait_s)
        await notes.until(over=True)
        assert isinstance(notes.error, CapacityError)
        assert notes.error.retryable
        error = notes.error
        assert (error.active_sessions, error.max_sessions, (error.retry_after_s or 0) > 0) == (2, 2, True)
        assert "2/2" in str(error)
    pairs[0][0].close()
    await waiting.until(opened=True)
    await gathered([bounded(house.registry.drain(5)) for _ in range(2)])
    assert house.is_empty
