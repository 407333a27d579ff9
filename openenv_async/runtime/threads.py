"""A thread that one session keeps for life, and a cheap way back from it to the event loop.

Libraries such as sqlite3, Playwright and greenlets want every call on the thread
that made the object. Handing over costs one queue in and, for all threads that
finish in one turn of the loop, one wake-up out.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Completions:
    """Results on their way to one event loop; many results share one `call_soon_threadsafe`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._armed = False

    def post(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        """Give a future its result, from any thread."""
        self._ready.append((future, result, error))
        # Appending before looking, here, and disarming before emptying, in _drain, lose no
        # wake-up; the worst that a race can do is one wake-up too many.
        if not self._armed:
            self._armed = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # the loop has closed: nobody is left to hear of it
                self._ready.clear()

    def _drain(self) -> None:
        self._armed = False
        while self._ready:
            future, result, error = self._ready.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


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
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._completions = completions()
        # The session's context, so that what the environment logs in here is known as its own.
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)
        self._thread.start()

    def run(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue a function; the future gets its result. Cancelling the future does not stop the function."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((future, function, args))
        return future

    def stop(self) -> None:
        """End the thread when it has done what is queued."""
        self._jobs.put(None)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        jobs, post = self._jobs, self._completions.post
        while True:
            job = jobs.get()
            if job is None:
                return
            future, function, args = job
            error: BaseException | None
            try:
                result, error = function(*args), None
            except StopIteration as exc:  # the one exception that a future refuses
                result, error = None, RuntimeError(f"StopIteration: {exc.value}")
            except BaseException as exc:  # whatever it is, it belongs to whoever waits for the result
                result, error = None, exc
            post(future, result, error)
            # A result kept in this frame would live until the next call.
            del job, future, function, args, result, error
