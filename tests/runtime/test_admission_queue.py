"""The waiting room by itself: whose turn it is, who leaves, and that no slot is ever lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import requirement
from support.servers import bounded

from openenv_async.errors import CapacityError
from openenv_async.runtime.admission_queue import UNKNOWN_RETRY_S, AdmissionQueue


class Guest:
    """Somebody who holds a slot from when it comes until `leave()`."""

    def __init__(self, hall: Hall, name: str, party: str, wait_s: float) -> None:
        self.name = name
        self.error: CapacityError | None = None
        self._left = asyncio.Event()
        self.task = asyncio.create_task(self._stay(hall, party, wait_s))

    async def _stay(self, hall: Hall, party: str, wait_s: float) -> None:
        try:
            async with hall.room.slot(party, wait_s):
                hall.served.append(self.name)
                assert hall.room.held <= hall.room.total
                await self._left.wait()
        except CapacityError as error:
            self.error = error

    def leave(self) -> None:
        self._left.set()


class Hall:
    """A room, and in which order its guests were served."""

    def __init__(self, slots: int = 1, most_waiting: int = 100) -> None:
        self.room = AdmissionQueue(slots, most_waiting)
        self.served: list[str] = []
        self.guests: dict[str, Guest] = {}

    async def come(self, names: str | Iterable[str], wait_s: float = 30.0) -> None:
        """Let guests come in this order; a name's first letter is its party."""
        for name in [names] if isinstance(names, str) else names:
            self.guests[name] = Guest(self, name, name[0], wait_s)
        await asyncio.sleep(0)

    async def serve_all(self) -> list[str]:
        """Let everybody leave who is served, until nobody is left; gives the order."""
        while any(not guest.task.done() for guest in self.guests.values()):
            for name in list(self.served):
                self.guests[name].leave()
            await asyncio.sleep(0)
        await self.check_empty()
        return self.served

    async def check_empty(self) -> None:
        await bounded(asyncio.gather(*(guest.task for guest in self.guests.values()), return_exceptions=True))
        assert (self.room.held, self.room.waiting) == (0, 0)


@requirement("room:fair")
async def test_slots_go_round_the_parties() -> None:
    hall = Hall()
    await hall.come(f"a{n}" for n in range(6))
    await hall.come(["b0", "c0", "b1"])
    assert hall.room.waiting == 8
    assert await bounded(hall.serve_all()) == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4", "a5"]


@requirement("room:fair")
@pytest.mark.asyncio(loop_factories=["uvloop"])  # thousands of tasks, which are slow in debug mode
async def test_a_thousand_wishes_do_not_delay_another_partys_single_one() -> None:
    hall = Hall(slots=4, most_waiting=2000)
    await hall.come(f"a{n}" for n in range(1000))
    await hall.come("b")
    order = await bounded(hall.serve_all())
    assert order.index("b") <= 5
    assert [name for name in order if name != "b"] == [f"a{n}" for n in range(1000)]


@requirement("room:bounded")
async def test_a_full_room_refuses_the_latest_of_whoever_wants_the_most() -> None:
    hall = Hall(most_waiting=4)
    await hall.come(["x", "a0", "a1", "a2", "b0"])
    for newcomer in ("a3", "c0", "d0", "e0"):
        await hall.come(newcomer)
    await asyncio.sleep(0)
    refused = [name for name, guest in hall.guests.items() if guest.error is not None]
    # Nobody has more than e's one, so e0 has to go; c0 and d0 took the places of a2 and a1.
    assert refused == ["a1", "a2", "a3", "e0"]
    assert await bounded(hall.serve_all()) == ["x", "a0", "b0", "c0", "d0"]


@requirement("room:leaves")
@pytest.mark.asyncio(loop_factories=["uvloop"])  # thousands of tasks, which are slow in debug mode
async def test_who_goes_away_is_passed_over_however_many_they_are() -> None:
    hall = Hall(most_waiting=5000)
    await hall.come(f"a{n}" for n in range(4001))
    await hall.come("b")
    for name, guest in hall.guests.items():
        if name not in ("a0", "b"):
            guest.task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert hall.room.waiting == 1
    assert await bounded(hall.serve_all()) == ["a0", "b"]


@requirement("room:zero")
@pytest.mark.parametrize("wait_s", [0.0, -1.0, math.nan])
async def test_no_time_to_wait_is_refused_at_once(wait_s: float) -> None:
    hall = Hall()
    await hall.come(["a", "b"], 30)
    await hall.come("c", wait_s)
    error = hall.guests["c"].error
    assert error is not None
    assert (error.active_sessions, error.max_sessions, error.waiting) == (1, 1, 1)
    await bounded(hall.serve_all())


@requirement("room:timeout")
async def test_infinite_patience_is_waited_for() -> None:
    hall = Hall()
    await hall.come(["a", "b"], math.inf)
    assert await bounded(hall.serve_all()) == ["a", "b"]


@requirement("room:no-slot-lost")
@pytest.mark.parametrize("ends", ["times out", "is cancelled"])
async def test_a_slot_that_comes_in_the_turn_of_its_waiters_end_is_passed_on(ends: str) -> None:
    for turn in range(10):
        hall = Hall()
        await hall.come("a")
        await hall.come("b", 0.005 if ends == "times out" else 30)
        await hall.come("c")
        if ends == "times out":
            # Both in one turn of the loop, in either order.
            asyncio.get_running_loop().call_later(0.005 + (turn - 5) / 5000, hall.guests["a"].leave)
            await bounded(asyncio.wait([hall.guests["b"].task], timeout=0.02))
        else:
            hall.guests["a"].leave()
            for _ in range(turn % 3):
                await asyncio.sleep(0)
            hall.guests["b"].task.cancel()
        assert "c" in await bounded(hall.serve_all())


@requirement("room:refusal")
async def test_the_estimate_comes_from_how_often_slots_were_freed() -> None:
    hall = Hall()
    assert hall.room.retry_after_s() == 0
    await hall.come("a")
    assert hall.room.retry_after_s() == UNKNOWN_RETRY_S
    await hall.come(f"b{n}" for n in range(5))
    loop = asyncio.get_running_loop()
    freed = []
    while len(hall.served) < 4:
        await bounded(asyncio.sleep(0.02))
        before = loop.time()
        hall.guests[hall.served[-1]].leave()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        freed.append((before, loop.time()))
    assert hall.room.waiting == 2
    least = loop.time() - freed[0][1]
    each = hall.room.retry_after_s() / 3
    most = loop.time() - freed[0][0]
    assert least - CLOCK_S <= each * (len(freed) - 1) <= most + CLOCK_S
    await bounded(hall.serve_all())
    assert hall.room.retry_after_s() == 0


CLOCK_S = 0.005
"""How coarse a loop's clock is."""

NAMES = st.sampled_from(["a", "b", "c"])
COME = st.tuples(st.just("come"), NAMES, st.sampled_from([0.0, 0.0002, 0.001, 30.0]))
GO = st.tuples(st.sampled_from(["leave", "cancel"]), st.integers(0, 30), st.just(0.0))
TURN = st.tuples(st.just("turns"), st.integers(0, 3), st.just(0.0))


@requirement("room:no-slot-lost", "room:bounded")
@given(slots=st.integers(1, 3), most=st.integers(1, 5), moves=st.lists(COME | COME | GO | TURN, max_size=40))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
async def test_no_interleaving_loses_a_slot_or_a_guest(
    slots: int, most: int, moves: list[tuple[str, object, float]]
) -> None:
    hall = Hall(slots, most)
    for number, (move, what, wait_s) in enumerate(moves):
        if move == "come":
            name = f"{what}{number}"
            hall.guests[name] = Guest(hall, name, str(what), wait_s)
        elif move == "turns":
            assert isinstance(what, int)
            for _ in range(what):
                await asyncio.sleep(0)
        elif hall.guests:
            assert isinstance(what, int)
            guest = list(hall.guests.values())[what % len(hall.guests)]
            if move == "leave":
                guest.leave()
            else:
                guest.task.cancel()
        assert hall.room.held <= slots
        assert hall.room.waiting <= most
    for guest in hall.guests.values():
        guest.leave()
    await hall.check_empty()
    for guest in hall.guests.values():
        served, refused, cancelled = guest.name in hall.served, guest.error is not None, guest.task.cancelled()
        assert served or refused or cancelled
        assert not (served and refused)
