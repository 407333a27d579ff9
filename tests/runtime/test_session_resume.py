"""Sessions between two connections, without any wire: what they play, keep, forget and end with."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from requirements import requirement
from support.scripted_envs import reset, seen, step
from support.servers import bounded
from support.sinks import House, Notes

from openenv_async.errors import SessionLost, StepTimeout
from openenv_async.protocol.session_states import State
from openenv_async.runtime.session import Session


async def opened(house: House, key: str = "key") -> tuple[Session, Notes]:
    session, notes = house.begin()
    house.registry.detached.allow(session, key)
    await notes.until(opened=True)
    return session, notes


@requirement("resume:kept-outcome")
async def test_the_newest_outcome_is_kept_and_no_other() -> None:
    house = House("inline async")
    session, notes = await opened(house)
    for rid in (1, 2, 3):
        session.newest = rid
        session.submit(rid, step(value=f"of {rid}"))
        await notes.until(results=rid)
        kept = session.outcome_of(rid)
        assert kept is notes.results[-1][1], "the very object that was delivered"
        assert session.outcome_of(rid - 1) is None
        assert not session.awaits(rid)
    session.acknowledge(2)
    assert session.outcome_of(3) is not None
    session.acknowledge(3)
    assert session.outcome_of(3) is None
    session.close()
    await notes.until(over=True)


@requirement("resume:kept-outcome", "resume:old-peers")
async def test_a_session_that_cannot_be_resumed_keeps_nothing() -> None:
    house = House("inline async")
    session, notes = await house.open()
    session.submit(1, step(value="x"))
    await notes.until(results=1)
    assert session.outcome_of(1) is None
    assert not house.registry.detached.keep(session)
    session.close()
    await notes.until(over=True)


@requirement("resume:same-session")
async def test_what_is_queued_waits_for_the_next_connection() -> None:
    house = House()
    session, notes = await opened(house)
    session.submit(1, step("hang", value="first"))
    session.submit(2, step(value="second"))
    session.newest = 2
    await house.world.journal.until("hangs")
    assert house.registry.detached.keep(session)
    assert session.state.now is State.DETACHED
    assert session.awaits(2)
    house.world.journal.gate("hang").set()
    await house.world.journal.until("returns")
    again = Notes()
    house.registry.detached.release(session)
    session.attach(again)
    assert seen(await again.result(len(again.results) or 1)) in ("first", "second")
    async with asyncio.timeout(10):
        while 2 not in again.rids:  # noqa: ASYNC110 - the first may have ended before the attachment
            await asyncio.sleep(0)
    assert seen(await again.result(len(again.results))) == "second"
    assert notes.results == []
    session.close()
    await again.until(over=True)
    assert house.is_empty


@requirement("resume:same-session")
@pytest.mark.parametrize("busy", [True, False])
async def test_a_resumed_session_is_as_busy_as_it_was(busy: bool) -> None:
    house = House()
    session, _ = await opened(house)
    if busy:
        session.submit(1, step("hang", value="x"))
        await house.world.journal.until("hangs")
    detached = house.registry.detached
    assert detached.keep(session)
    assert detached.find(session.id, session.token) is session
    again = Notes()
    detached.release(session)
    session.attach(again)
    assert session.state.now is (State.BUSY if busy else State.READY)
    assert len(detached) == 0
    if busy:
        house.world.journal.gate("hang").set()
        assert seen(await again.result()) == "x"
    session.close()
    await again.until(over=True)
    assert house.is_empty


@requirement("resume:window", "close:once", "slot:freed")
async def test_a_window_that_passes_ends_the_session_once() -> None:
    house = House(resume_window_s=0.05)
    session, notes = await opened(house)
    assert house.registry.detached.keep(session)
    assert session.task is not None
    await bounded(asyncio.wait([session.task]))
    assert house.counts == (1, 1)
    assert house.is_empty
    assert not notes.over, "the connection that is gone hears nothing"
    assert isinstance(session.reason, SessionLost)
    assert house.registry.detached.find(session.id, session.token) is None
    assert house.registry.detached.find_unused("key") is None
    assert len(house.registry.detached) == 0


@requirement("resume:window", "slot:freed")
async def test_an_environment_that_hangs_while_its_client_is_away_costs_no_slot() -> None:
    from openenv_async.runtime.calls import Call, Wire

    house = House(resume_window_s=30)
    session, _ = await opened(house)
    call = step("hang")
    assert isinstance(call, Call) and call.wire is Wire.NATIVE
    session.submit(1, msgspec.structs.replace(call, timeout_s=0.1))
    await house.world.journal.until("hangs")
    assert house.registry.detached.keep(session)
    assert session.task is not None
    await bounded(asyncio.wait([session.task]))
    assert house.is_empty and len(house.registry.detached) == 0
    assert isinstance(session.outcome_of(1), StepTimeout)
    house.world.journal.gate("hang").set()
    await house.world.journal.until("returns")


@requirement("resume:opening")
async def test_a_key_opens_a_session_again_until_something_was_asked_of_it() -> None:
    house = House("inline async")
    session, notes = await opened(house, "mine")
    detached = house.registry.detached
    assert detached.find_unused("mine") is session
    assert detached.find_unused("other") is None
    assert detached.keep(session)
    assert detached.find_unused("mine") is session
    again = Notes()
    detached.release(session)
    session.attach(again)
    session.newest = 1
    session.submit(1, reset())
    await again.until(results=1)
    assert detached.find_unused("mine") is None
    session.close()
    await again.until(over=True)
    assert not notes.over
    assert not detached._by_key


async def test_a_session_that_is_still_opening_is_not_kept() -> None:
    house = House()
    session, notes = house.begin()
    house.registry.detached.allow(session, "key")
    assert session.state.now is State.OPENING
    assert not house.registry.detached.keep(session)
    assert house.registry.detached.find(session.id, session.token) is None
    session.close()
    await notes.until(over=True)
    assert house.is_empty


@requirement("close:server-stops", "close:once")
async def test_a_drain_ends_detached_sessions() -> None:
    house = House()
    session, _ = await opened(house)
    assert house.registry.detached.keep(session)
    await bounded(house.registry.drain(5))
    assert house.counts == (1, 1)
    assert house.is_empty and len(house.registry.detached) == 0
