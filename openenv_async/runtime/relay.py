"""Threads whose calls are short take turns, and wake the event loop once for all of them.

Only one thread runs Python at a time. Woken all at once, as many threads as have a call
wait for the interpreter's lock, are woken a second time to take it, and hand it from
processor to processor; the loop is among them. Here a few are woken, and each that ends
wakes the next: 64 sessions of a small environment take a quarter less of processor time.

Nobody waits for a long call: only threads whose last call was short take part, and when
nothing has ended for `LATE_S`, whoever waits is woken, as without all this.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

AT_ONCE = 2
"""Threads that run: with one, each hand-over is a pause; measured, three give no more steps and take more time."""

QUICK_S = 30e-6
"""Seconds that a call takes at most whose thread takes turns: waking another thread takes as long. What computes
outside the interpreter's lock for longer is better off beside the others."""

LATE_S = 0.002
"""Seconds without an end, after which nobody waits any longer."""


class Runner(Protocol):
    """A thread, as the relay knows it."""

    quick: bool
    """Its last call was short."""

    gone: bool
    """It has ended, and can take no turn."""

    def wake(self) -> None:
        """Have it do what is queued. To be called from any thread, and once too often does no harm."""


class Relay:
    """The turns of one event loop's threads.

    Args:
        loop: whose.
        drain: takes the results that are there to the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
        self._loop, self._drain = loop, drain
        self._waiting: deque[Runner] = deque()
        # A set, because adding and discarding are done in one piece, whatever thread does it; a number's += is not.
        self._running: set[Runner] = set()
        self._ends = 0
        """Whether it changes is all that counts: two threads at once may count one."""
        self._ends_seen = -1
        self._timer: asyncio.TimerHandle | None = None

    def start(self, runner: Runner) -> None:
        """Have a thread do what is queued for it: now, or when it is its turn. On the loop."""
        if not runner.quick:
            runner.wake()
            return
        if not self._running:
            self._running.add(runner)
            runner.wake()
            return
        self._waiting.append(runner)
        # Looked at behind the append, as `ended` looks behind its discard: one of the two sees the other.
        if len(self._running) < AT_ONCE:
            self._next()
        elif self._timer is None:
            self._timer = self._loop.call_later(LATE_S, self._look)

    def ended(self, runner: Runner) -> bool:
        """Give the turn of a thread to the next; False: there is none, and the loop is to be told. In that thread."""
        self._ends += 1
        if runner not in self._running:
            return False
        self._running.discard(runner)
        return self._next()

    def _next(self) -> bool:
        while self._waiting:
            try:
                runner = self._waiting.popleft()
            except IndexError:  # another thread was quicker
                break
            self._running.add(runner)
            # Looked at behind the add; a thread says that it is gone before it gives back its turn.
            if not runner.gone:
                runner.wake()
                return True
            self._running.discard(runner)
        return False

    def _look(self) -> None:
        self._timer = None
        if not self._waiting and not self._running:
            return
        if self._ends == self._ends_seen:
            self._let_all_go()
            return
        self._ends_seen = self._ends
        self._timer = self._loop.call_later(LATE_S, self._look)

    def _let_all_go(self) -> None:
        """Whoever runs takes too long to be waited for."""
        for runner in list(self._running):
            runner.quick = False
        self._running.clear()
        while self._waiting:
            try:
                runner = self._waiting.popleft()
            except IndexError:  # one that ended in this moment was quicker
                break
            runner.wake()
        self._drain()
