"""A thread that one session keeps for life, and how its results reach the event loop.

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
"""Threads that run at once: with one, each hand-over is a pause; measured, three give no more steps and cost more."""

QUICK_S = 30e-6
"""Seconds that a call may take whose thread takes turns: waking another thread takes as long. Threads that compute
outside the interpreter's lock for longer run better beside each other."""

LATE_S = 0.002
"""Seconds without an ended call, after which no thread waits any longer."""


class ScheduledThread(Protocol):
    """A thread as its scheduler sees it."""

    quick: bool
    """Its last call was short."""

    gone: bool
    """It has ended and takes no more turns."""

    wake: Callable[[], None]
    """Wake it to run what is queued. May be called from any thread, also when nothing is queued."""


class ThreadScheduler:
    """Lets the threads of one event loop that have short calls take turns.

    Args:
        loop: theirs.
        drain: brings the results that are ready to the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
        self._loop, self._drain = loop, drain
        self._waiting: deque[ScheduledThread] = deque()
        # A set, because adding and discarding are atomic in any thread; the += of a number is not.
        self._running: set[ScheduledThread] = set()
        self._ends = 0
        """Only that it changes matters: two threads at once may count one."""
        self._ends_seen = -1
        self._timer: asyncio.TimerHandle | None = None

    def start(self, thread: ScheduledThread) -> None:
        """Let a thread run what is queued for it, now or when it is its turn. Called on the event loop."""
        if not thread.quick:
            thread.wake()
            return
        if not self._running:
            self._running.add(thread)
            thread.wake()
            return
        self._waiting.append(thread)
        # Read after the append, as `ended` reads after its discard: one of the two sees the other.
        if len(self._running) < AT_ONCE:
            self._next()
        elif self._timer is None:
            self._timer = self._loop.call_later(LATE_S, self._look)

    def ended(self, thread: ScheduledThread) -> bool:
        """Pass the turn of a thread to the next; returns False when the event loop is to be told. Called in it."""
        self._ends += 1
        if thread not in self._running:
            return False
        self._running.discard(thread)
        return bool(self._waiting) and self._next()

    def _next(self) -> bool:
        while self._waiting:
            try:
                thread = self._waiting.popleft()
            except IndexError:  # another thread has taken it
                break
            self._running.add(thread)
            # Read after the add; a thread says that it is gone before it passes on its turn.
            if not thread.gone:
                thread.wake()
                return True
            self._running.discard(thread)
        return False

    def _look(self) -> None:
        self._timer = None
        if not self._waiting and not self._running:
            return
        if self._ends == self._ends_seen:
            self._release_all()
            return
        self._ends_seen = self._ends
        self._timer = self._loop.call_later(LATE_S, self._look)

    def _release_all(self) -> None:
        """Let every thread run: those that have the turn take too long to be waited for."""
        for thread in list(self._running):
            thread.quick = False
        self._running.clear()
        while self._waiting:
            try:
                thread = self._waiting.popleft()
            except IndexError:  # one that ended in this moment has taken it
                break
            thread.wake()
        self._drain()


T = TypeVar("T")

OnResult = Callable[[Any, BaseException | None], None]
"""Receives what a function returned, or None and what it raised."""

_Job = tuple["Completions", OnResult, Callable[..., Any], tuple[Any, ...]]


MOST_HELD = 64
"""Results that wait for each other on their way to the event loop: as many make a message that is worth its cost."""


class Completions:
    """Results on their way to one event loop; many results share one `call_soon_threadsafe`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[tuple[OnResult, Any, BaseException | None]] = deque()
        self._armed = False
        self.scheduler = ThreadScheduler(loop, self._drain)

    def post(self, thread: PinnedThread, on_result: OnResult, result: Any, error: BaseException | None) -> None:
        """Call `on_result` on the event loop. Called in `thread`, whose turn ends with it."""
        self._ready.append((on_result, result, error))
        # Appending before reading, here, and disarming before emptying, in _drain, lose no
        # wake-up; the worst that a race can do is one wake-up too many.
        if (not self.scheduler.ended(thread) or len(self._ready) >= MOST_HELD) and not self._armed:
            self._arm()

    def pass_on(self, thread: PinnedThread) -> None:
        """End the turn of a thread that had nothing to do. Called in that thread."""
        if not self.scheduler.ended(thread) and self._ready and not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the event loop has closed
            self._ready.clear()

    def _drain(self) -> None:
        self._armed = False
        ready = self._ready
        try:
            while ready:
                on_result, result, error = ready.popleft()
                on_result(result, error)
        finally:
            # One that raises, which is a bug of ours and the loop's to report, must not keep back the others' results.
            if ready and not self._armed:
                self._arm()


_COMPLETIONS: WeakKeyDictionary[asyncio.AbstractEventLoop, Completions] = WeakKeyDictionary()


def completions() -> Completions:
    """Return the running event loop's own."""
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
        self._jobs: deque[_Job | None] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self.wake: Callable[[], None] = partial(self._wakes.put, None)
        self._completions = completions()
        # The session's context, so that what the environment logs in here is known as its own.
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)
        self._thread.start()

    def run(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue a function; the future gets its result. Cancelling the future does not stop the function."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.send(partial(_settle, future), function, *args)
        return future

    def send(self, on_result: OnResult, function: Callable[..., Any], *args: Any, in_turn: bool = False) -> None:
        """Queue a function; `on_result` is called on the event loop with what comes of it.

        Args:
            on_result: see `OnResult`.
            function: what to call.
            args: its arguments.
            in_turn: if this thread's last function was short, it may wait a moment for those of others.
        """
        self._jobs.append((self._completions, on_result, function, args))
        if in_turn:
            self._completions.scheduler.start(self)
        else:
            self.wake()

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
                    self._completions.pass_on(self)
                continue
            job = jobs.popleft()
            if job is None:
                self.gone = True
                self._completions.pass_on(self)
                return
            completions, on_result, function, args = job
            error: BaseException | None
            began = clock()
            try:
                result, error = function(*args), None
            except StopIteration as exc:  # the one exception that a future refuses
                result, error = None, RuntimeError(f"StopIteration: {exc.value}")
            except BaseException as exc:  # whatever it is, it is for the caller to handle
                result, error = None, exc
            self.quick = clock() - began < QUICK_S
            completions.post(self, on_result, result, error)
            # A result kept in this frame would live until the next call.
            del job, completions, on_result, function, args, result, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
