"""Those who look on hear of everything once, in the order in which it happens."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.scripted_envs import STATE, reset, step
from support.sinks import House, Notes

from openenv_async.errors import CapacityError, ServerClosing
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.session import Session, SessionObserver
from openenv_async.runtime.session_observer import combined
from openenv_async.runtime.session_stats import QUICK_S


class Diary(SessionObserver):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.latencies_s: list[float] = []

    def waiting(self, session: Session) -> None:
        self.lines.append(("waiting", session.id))

    def opened(self, session: Session) -> None:
        self.lines.append(("opened", session.id))

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        self.lines.append(("called", session.id, rid, call.kind, isinstance(outcome, Outcome)))
        self.latencies_s.append(latency_s)

    def detached(self, session: Session) -> None:
        self.lines.append(("detached", session.id))

    def ended(self, session: Session, error: BaseException | None) -> None:
        self.lines.append(("ended", session.id, type(error)))


@pytest.mark.parametrize("kind", ["inline async", "thread sync"])
async def test_each_event_of_a_session_is_told_once_and_in_order_to_all(kind: str) -> None:
    house, first, second = House(kind), Diary(), Diary()
    house.registry.observer = combined(combined(None, first), second)
    began = time.perf_counter()
    session, notes = await house.open()
    house.registry.detached.allow(session, "key")
    for rid, call in enumerate([reset(), step(value=1), step("ValueError"), STATE], 1):
        session.submit(rid, call)
    await notes.until(results=4)
    assert house.registry.detached.keep(session)
    await house.registry.drain(1)
    name = session.id
    assert first.lines == [
        ("waiting", name),
        ("opened", name),
        ("called", name, 1, "reset", True),
        ("called", name, 2, "step", True),
        ("called", name, 3, "step", False),
        ("called", name, 4, "state", True),
        ("detached", name),
        ("ended", name, ServerClosing),
    ]
    assert second.lines == first.lines
    assert all(latency_s > 0 for latency_s in first.latencies_s)
    assert sum(first.latencies_s) < time.perf_counter() - began


async def test_a_session_that_was_never_open_is_told_with_its_reason() -> None:
    house, diary = House(max_sessions=1), Diary()
    house.registry.observer = diary
    held, held_notes = await house.open()
    refused, notes = house.begin()
    await notes.until(over=True)
    assert diary.lines[-2:] == [("waiting", refused.id), ("ended", refused.id, CapacityError)]
    held.close()
    await held_notes.until(over=True)


async def test_a_call_that_nobody_waits_for_is_told_too() -> None:
    house, diary = House("inline async"), Diary()
    house.registry.observer = diary
    session, notes = await house.open()
    session.submit(1, step("hang"))
    await house.world.journal.until("hangs")
    session.cancel(1)
    session.submit(2, step(value=2))
    await notes.until(results=1)
    assert [line[2:] for line in diary.lines if line[0] == "called"] == [(1, "step", False), (2, "step", True)]
    session.close()
    await notes.until(over=True)


class Deaf(SessionObserver):
    """Hears of no calls."""


async def test_who_hears_of_no_calls_is_not_told_of_them_and_everybody_else_is() -> None:
    house, diaries = House("inline async"), [Diary(), Diary()]
    pairs = combined(combined(None, Deaf()), diaries[0])
    assert pairs.called == diaries[0].called  # nothing stands between, where there is one
    house.registry.observer = combined(combined(pairs, diaries[1]), third := Diary())
    session, notes = await house.open()
    session.submit(1, reset())
    await notes.until(results=1)
    session.close()
    await notes.until(over=True)
    kinds = [line[0] for line in diaries[0].lines]
    assert kinds == [line[0] for line in diaries[1].lines] == ["waiting", "opened", "called", "ended"]
    assert third.lines == diaries[0].lines


def test_nobody_looks_on_unless_asked() -> None:
    assert House().registry.observer is None
    assert Session("id", House().registry.limits, Notes()).observer is None


class Frugal(Diary):
    """Is content with what sessions keep of their quick steps."""

    wants_quick = False


@pytest.mark.parametrize("together_with_another", [False, True])
async def test_quick_steps_are_told_to_those_who_want_them_and_summed_up_for_all(together_with_another: bool) -> None:
    house, frugal = House("inline async"), Frugal()
    house.registry.observer = combined(frugal, Diary()) if together_with_another else frugal
    session, notes = await house.open()
    session.submit(1, reset())
    for rid in range(2, 32):
        session.submit(rid, step(value=rid))
    session.submit(32, step("ValueError"))
    await notes.until(results=32)
    kept = list(session.stats.latencies_s)
    assert len(kept) == session.steps == 30
    assert session.stats.quick_s == pytest.approx(sum(latency_s for latency_s in kept if latency_s < QUICK_S))
    assert session.stats.errors == 1
    told = [line[2] for line in frugal.lines if line[0] == "called"]
    slow = [rid for rid, latency_s in enumerate(kept, 2) if latency_s >= QUICK_S]
    assert told == [1, *(range(2, 32) if together_with_another else slow), 32]
    session.close()
    await notes.until(over=True)
