"""Slots: one cap, waiting in the order of arrival, and no way to lose one."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import requirement
from support.scripted_envs import Base, World, blueprint, step
from support.servers import bounded
from support.sinks import House, Notes

from openenv_async.errors import CapacityError, FactoryError
from openenv_async.limits import Limits
from openenv_async.protocol.session_states import State
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.session import Session


@pytest.mark.parametrize("kind", ["inline async", "thread sync"])
async def test_never_more_sessions_than_slots_and_first_come_first_served(kind: str) -> None:
    house = House(kind, max_sessions=2)
    first, second = await house.open(), await house.open()
    queue = [house.begin(wait_s=30) for _ in range(6)]
    await asyncio.sleep(0)
    assert (house.registry.active, house.registry.waiting) == (2, 6)
    living = [first, second]
    for number, pair in enumerate(queue):
        living.pop(0)[0].close()
        await pair[1].until(opened=True)
        assert [notes.opened_ for _, notes in queue] == [True] * (number + 1) + [False] * (5 - number)
        assert house.registry.active == 2
        living.append(pair)
    await bounded(house.registry.drain(5))
    assert house.counts == (8, 8)


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    house = House("inline async", max_sessions=1)
    first, _ = await house.open()
    _, waiting = house.begin(wait_s=30)
    await asyncio.sleep(0)
    first.close()
    _, newcomer = house.begin(wait_s=0)
    await newcomer.until(over=True)
    assert isinstance(newcomer.error, CapacityError)
    await waiting.until(opened=True)
    await bounded(house.registry.drain(5))


@requirement("room:zero")
@pytest.mark.parametrize("kind", ["inline async", "thread sync"])
async def test_who_would_not_wait_waits_for_a_slot_that_is_being_given_back(kind: str) -> None:
    house = House(kind, max_sessions=1)
    first, _ = await house.open()
    _, early = house.begin(wait_s=0)
    await early.until(over=True)
    assert isinstance(early.error, CapacityError), "nobody was leaving"
    first.close()
    _, next_one = house.begin(wait_s=0)
    _, one_too_many = house.begin(wait_s=0)
    await one_too_many.until(over=True)
    assert isinstance(one_too_many.error, CapacityError)
    await next_one.until(opened=True)
    await bounded(house.registry.drain(5))
    assert house.is_empty


@requirement("room:zero")
async def test_a_call_that_goes_on_for_nobody_is_not_waited_for() -> None:
    house = House("thread sync", max_sessions=1)
    first, _ = await house.open()
    first.submit(1, step(do="hang"))
    await house.world.journal.until("hangs")
    first.close()
    _, next_one = house.begin(wait_s=0)
    await next_one.until(over=True)
    assert isinstance(next_one.error, CapacityError)
    house.world.journal.open_gate("hang")
    await bounded(house.registry.drain(5))


async def test_a_waiter_whose_time_runs_out_as_its_slot_comes_gets_it_or_passes_it_on() -> None:
    for turn in range(12):
        house = House("inline async", max_sessions=1)
        first, _ = await house.open()
        hurried, hasty = house.begin(wait_s=0.02)
        _, patient = house.begin(wait_s=30)
        asyncio.get_running_loop().call_later(0.02 + (turn - 6) / 5000, first.close)
        await hasty.until(settled=True)
        if hasty.opened_:
            hurried.close()
        await patient.until(opened=True)
        await bounded(house.registry.drain(5))
        assert house.is_empty
        assert house.counts == ((3, 3) if hasty.opened_ else (2, 2))


@requirement("slot:freed")
@pytest.mark.parametrize("execution", ["inline", "thread", None])
async def test_a_factory_that_fails_gives_its_slot_back(execution: Any, caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Base:
        raise SystemExit("no board")

    registry = Registry(blueprint(failing, execution), Limits(), 1)
    with caplog.at_level(logging.CRITICAL, "openenv_async"):
        for _ in range(3):
            notes = Notes()
            registry.open(notes)
            await notes.until(over=True)
            assert isinstance(notes.error, FactoryError)
    assert (registry.active, registry.waiting, dict(registry.sessions)) == (0, 0, {})


class Counted(Base):
    """Counts how many live at once; the factory fails for every fifth."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        if len(world.made) % 5 == 0:
            raise RuntimeError("every fifth")
        self.world.journal.note("alive")
        self.world.most_alive = max(self.world.most_alive, self.world.alive)

    async def reset(self) -> None:
        await asyncio.sleep(0)

    async def step(self, action: Any) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.world.journal.note("close")


class Crowd:
    """Sessions that one example opens, and what it may do to them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.opened: list[tuple[Session, Notes]] = []

    async def make(self, move: str, value: Any) -> None:
        if move == "open":
            notes = Notes()
            self.opened.append((self.registry.open(notes, wait_s=value), notes))
        elif move == "turns":
            for _ in range(value):
                await asyncio.sleep(0)
                assert self.registry.active <= self.registry.max_sessions
        elif self.opened:
            session, _ = self.opened[value % len(self.opened)]
            deed: dict[str, Callable[[], object]] = {
                "close": session.close,
                "cancel": lambda: session.cancel(value),
                "submit": lambda: session.submit(value, step()),
                # As a drain does; what runs close() has a bound of its own and is left to it.
                "kill": lambda: session.task and session.state.now is not State.CLOSED and session.task.cancel(),
            }
            deed[move]()

    async def end(self) -> None:
        for session, _ in self.opened:
            session.close()
        for _, notes in self.opened:
            await notes.until(over=True)
        # An environment that was being built when its session ended is closed in its thread, a little later.
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in threading.enumerate():
            # A session's: other tests of this run may have left the sync client's loop, which goes on.
            if re.fullmatch("openenv-[0-9a-f-]{36}", thread.name):
                thread.join(5)


OPEN = st.tuples(st.just("open"), st.sampled_from([0.0, 0.0005, 0.002, 30.0]))
ON_ONE = st.tuples(st.sampled_from(["close", "close", "cancel", "submit", "kill"]), st.integers(0, 30))
TURNS = st.tuples(st.just("turns"), st.integers(0, 6))


@requirement("slot:freed", "close:once")
@given(cap=st.integers(1, 3), inline=st.booleans(), moves=st.lists(OPEN | ON_ONE | TURNS, max_size=40))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
async def test_no_interleaving_loses_a_slot(cap: int, inline: bool, moves: list[tuple[str, Any]]) -> None:
    world, log = World(), logging.getLogger("openenv_async")
    registry = Registry(blueprint(lambda: Counted(world), "inline" if inline else None), Limits(), cap)
    crowd = Crowd(registry)
    log.setLevel(logging.CRITICAL)
    try:
        for move, value in moves:
            await crowd.make(move, value)
        await crowd.end()
        assert (registry.active, registry.waiting, dict(registry.sessions)) == (0, 0, {})
        assert world.alive == 0
        assert world.most_alive <= cap or not inline
    finally:
        log.setLevel(logging.NOTSET)
        await bounded(registry.drain(1))
