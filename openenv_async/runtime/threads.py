"""A thread that one session keeps for life, and a cheap way back from it to the event loop.

Libraries such as sqlite3, Playwright and greenlets want every call on the thread
that made the object. Handing over costs one queue in and, for all threads that
finish in one turn of the loop, one wake-up out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

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


T = TypeVar("T")

Landed = Callable[[Any, BaseException | None], None]
"""Takes what a function gave, or None and what it raised."""

_Job = tuple["Completions", Landed, Callable[..., Any], tuple[Any, ...]]


MOST_HELD = 64
"""Results that wait for each other on their way to the loop: as many make a message that is worth its cost."""


class Completions:
    """Results on their way to one event loop; many results share one `call_soon_threadsafe`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[tuple[Landed, Any, BaseException | None]] = deque()
        self._armed = False
        self.relay = Relay(loop, self._drain)

    def post(self, thread: PinnedThread, landed: Landed, result: Any, error: BaseException | None) -> None:
        """Have `landed` called on the loop. In `thread`, whose turn ends with it."""
        self._ready.append((landed, result, error))
        # Appending before looking, here, and disarming before emptying, in _drain, lose no
        # wake-up; the worst that a race can do is one wake-up too many.
        if (not self.relay.ended(thread) or len(self._ready) >= MOST_HELD) and not self._armed:
            self._arm()

    def pass_on(self, thread: PinnedThread) -> None:
        """End the turn of a thread that had nothing to do. In that thread."""
        if not self.relay.ended(thread) and self._ready and not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop has closed: nobody is left to hear of it
            self._ready.clear()

    def _drain(self) -> None:
        self._armed = False
        ready = self._ready
        try:
            while ready:
                landed, result, error = ready.popleft()
                landed(result, error)
        finally:
            # One that raises, which is a bug of ours and the loop's to report, must not keep back the others' results.
            if ready and not self._armed:
                self._arm()


_COMPLETIONS: WeakKeyDictionary[asyncio.AbstractEventLoop, Completions] = WeakKeyDictionary()


def completions() -> Completions:
    """Give the running loop's own."""
    loop = asyncio.get_running_loop()
    found = _COMPLETIONS.get(loop)
    if found is None:
        found = _COMPLETIONS[loop] = Completions(loop)
    return found


class PinnedThread:
    """One thread. `run()` functions on it in order; `stop()` ends it after the last of them.

    Daemonic, because a thread whose environment hangs cannot be ended and must
    not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self.quick = False
        self.gone = False
        """These two: see `relay.Runner`."""
        self._jobs: deque[_Job | None] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._home = completions()
        # The session's context, so that what the environment logs in here is known as its own.
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)
        self._thread.start()

    def run(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue a function; the future gets its result. Cancelling the future does not stop the function."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.send(partial(_settle, future), function, *args)
        return future

    def send(self, landed: Landed, function: Callable[..., Any], *args: Any) -> None:
        """Queue a function; `landed` is called on the loop with what comes of it."""
        self._jobs.append((self._home, landed, function, args))
        self.wake()

    def send_in_turn(self, landed: Landed, function: Callable[..., Any], *args: Any) -> None:
        """As `send`; a function of a thread whose last one was short may wait a moment for those of others."""
        self._jobs.append((self._home, landed, function, args))
        self._home.relay.start(self)

    def wake(self) -> None:
        """See `relay.Runner`."""
        self._wakes.put(None)

    def stop(self) -> None:
        """End the thread when it has done what is queued."""
        self._jobs.append(None)
        self.wake()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        jobs, wakes, clock = self._jobs, self._wakes, time.perf_counter
        while True:
            if not jobs:
                wakes.get()
                if not jobs:  # done already, when something else woke it
                    self._home.pass_on(self)
                continue
            job = jobs.popleft()
            if job is None:
                self.gone = True
                self._home.pass_on(self)
                return
            home, landed, function, args = job
            error: BaseException | None
            began = clock()
            try:
                result, error = function(*args), None
            except StopIteration as exc:  # the one exception that a future refuses
                result, error = None, RuntimeError(f"StopIteration: {exc.value}")
            except BaseException as exc:  # whatever it is, it belongs to whoever waits for the result
                result, error = None, exc
            self.quick = clock() - began < QUICK_S
            home.post(self, landed, result, error)
            # A result kept in this frame would live until the next call.
            del job, home, landed, function, args, result, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
