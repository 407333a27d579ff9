"""Threads whose calls are short take turns: none of them is lost, and none waits for a long one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.servers import BOUND_S, bounded

from openenv_async.runtime.threads import MOST_HELD, PinnedThread

MANY = 2 * MOST_HELD


@pytest.fixture
def threads() -> Iterator[Callable[[int], list[PinnedThread]]]:
    """Give so many threads, which end with the test."""
    made: list[PinnedThread] = []

    def make(number: int) -> list[PinnedThread]:
        made.extend(PinnedThread(f"turn {n}") for n in range(number))
        return made[-number:]

    yield make
    for thread in made:
        thread.stop()


def in_turn(thread: PinnedThread, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    future = asyncio.get_running_loop().create_future()

    def landed(result: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    thread.send(landed, function, *args, in_turn=True)
    return future


async def made_quick(threads: list[PinnedThread]) -> list[PinnedThread]:
    """Let them be found quick: a loaded machine may take a thread off its processor in the middle of a short call."""
    async with asyncio.timeout(BOUND_S):
        for thread in threads:
            while not thread.quick:
                await in_turn(thread, int)
    return threads


async def test_every_call_of_many_threads_gives_its_own_result(
    threads: Callable[[int], list[PinnedThread]],
) -> None:
    many = await made_quick(threads(MANY))

    async def play(n: int, thread: PinnedThread) -> None:
        for turn in range(200):
            assert await in_turn(thread, lambda turn=turn: (n, turn, threading.current_thread().name)) == (
                n,
                turn,
                f"turn {n}",
            )

    await bounded(asyncio.gather(*(play(n, thread) for n, thread in enumerate(many))))


async def test_an_error_is_its_own_calls_alone(threads: Callable[[int], list[PinnedThread]]) -> None:
    many = await made_quick(threads(8))
    calls = [in_turn(thread, int, "no number" if n % 2 else "7") for n, thread in enumerate(many)]
    outcomes = await bounded(asyncio.gather(*calls, return_exceptions=True))
    assert [outcome if n % 2 == 0 else type(outcome) for n, outcome in enumerate(outcomes)] == [7, ValueError] * 4


@pytest.mark.parametrize("hung", [1, 2, 5])
async def test_nobody_waits_for_a_call_that_hangs(hung: int, threads: Callable[[int], list[PinnedThread]]) -> None:
    many = await made_quick(threads(MANY))
    gate = threading.Event()
    try:
        # Two before the ones that hang: what they give must not wait on its way either.
        before = [in_turn(thread, int) for thread in many[:2]]
        stuck = [in_turn(thread, gate.wait, BOUND_S) for thread in many[2 : 2 + hung]]
        others = [in_turn(thread, int) for thread in many[2 + hung :]]
        assert set(await bounded(asyncio.gather(*before, *others), 5)) == {0}
        # Also those that come while they hang.
        again = [in_turn(thread, int) for thread in many[2 + hung :]]
        assert set(await bounded(asyncio.gather(*again), 5)) == {0}
        assert not any(call.done() for call in stuck)
    finally:
        gate.set()
    assert set(await bounded(asyncio.gather(*stuck))) == {True}


async def test_calls_that_wait_for_each_other_run_side_by_side(
    threads: Callable[[int], list[PinnedThread]],
) -> None:
    many = await made_quick(threads(8))
    barrier = threading.Barrier(8)
    for _ in range(3):
        await bounded(asyncio.gather(*(in_turn(thread, barrier.wait, BOUND_S) for thread in many)))


async def test_a_thread_that_ends_while_it_waits_does_its_call_first(
    threads: Callable[[int], list[PinnedThread]],
) -> None:
    kept = await made_quick(threads(2))
    for _ in range(20):
        leaving = await made_quick(threads(8))
        calls = []
        for thread in leaving:
            calls.append(in_turn(thread, threading.get_ident))
            thread.stop()
        assert len(set(await bounded(asyncio.gather(*calls)))) == 8
        # Those that stay have their turns all the same.
        assert await bounded(asyncio.gather(*(in_turn(thread, int) for thread in kept))) == [0, 0]


async def test_what_is_sent_out_of_turn_keeps_the_threads_order(
    threads: Callable[[int], list[PinnedThread]],
) -> None:
    many = await made_quick(threads(8))
    order: list[str] = []
    first = [in_turn(thread, order.append, f"{n} step") for n, thread in enumerate(many)]
    then = [thread.run(order.append, f"{n} close") for n, thread in enumerate(many)]
    await bounded(asyncio.gather(*first, *then))
    for n in range(8):
        assert order.index(f"{n} step") < order.index(f"{n} close")
