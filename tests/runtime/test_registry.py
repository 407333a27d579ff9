"""Slots: one cap, waiting in the order of arrival, and no way to lose one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import bounded
from requirements import requirement
from sinks import House, Notes
from worlds import Base, World, blueprint, step

from openenv_async.errors import CapacityError, FactoryError
from openenv_async.limits import Limits
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


async def test_a_waiter_whose_time_runs_out_as_its_slot_comes_gets_it_or_passes_it_on() -> None:
    for turn in range(12):
        house = House("inline async", max_sessions=1)
        first, _ = await house.open()
        _, hasty = house.begin(wait_s=0.02)
        _, patient = house.begin(wait_s=30)
        asyncio.get_running_loop().call_later(0.02 + (turn - 6) / 5000, first.close)
        await asyncio.wait([first.task], timeout=5)  # type: ignore[list-item]
        if not hasty.opened_:
            await patient.until(opened=True)
        await bounded(house.registry.drain(5))
        assert house.is_empty
        assert house.counts[0] == house.counts[1]


@requirement("slot:freed", "session:factory-twice")
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

    def __init__(self, world: World, cap: int) -> None:
        super().__init__(world)
        if len(world.made) % 5 == 0:
            raise RuntimeError("every fifth")
        self.world.journal.note("alive")
        assert self.world.journal.count("alive") - self.world.journal.count("close") <= cap

    async def reset(self) -> None:
        await asyncio.sleep(0)

    async def step(self, action: Any) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.world.journal.note("close")


OPEN = st.tuples(st.just("open"), st.sampled_from([0.0, 0.0005, 0.002, 30.0]))
ON_ONE = st.tuples(st.sampled_from(["close", "close", "cancel", "submit", "kill"]), st.integers(0, 30))
TURNS = st.tuples(st.just("turns"), st.integers(0, 6))


@requirement("slot:freed", "close:once")
@given(cap=st.integers(1, 3), inline=st.booleans(), moves=st.lists(OPEN | ON_ONE | TURNS, max_size=40))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
async def test_no_interleaving_loses_a_slot(cap: int, inline: bool, moves: list[tuple[str, Any]]) -> None:
    logging.getLogger("openenv_async").setLevel(logging.CRITICAL)
    world = World()
    registry = Registry(blueprint(lambda: Counted(world, cap), "inline" if inline else None), Limits(), cap)
    opened: list[tuple[Session, Notes]] = []

    async def turn() -> None:
        await asyncio.sleep(0)
        assert registry.active <= cap

    try:
        for move, value in moves:
            if move == "open":
                notes = Notes()
                opened.append((registry.open(notes, wait_s=value), notes))
            elif move == "turns":
                for _ in range(value):
                    await turn()
            elif opened:
                session, _ = opened[value % len(opened)]
                if move == "kill" and session.task is not None:
                    session.task.cancel()
                elif move == "close":
                    session.close()
                elif move == "cancel":
                    session.cancel(value)
                else:
                    session.submit(value, step())
        for session, _ in opened:
            session.close()
        for _, notes in opened:
            await notes.until(over=True)
        assert (registry.active, registry.waiting, dict(registry.sessions)) == (0, 0, {})
        assert world.journal.count("alive") == world.journal.count("close")
    finally:
        logging.getLogger("openenv_async").setLevel(logging.NOTSET)
        await bounded(registry.drain(1))
