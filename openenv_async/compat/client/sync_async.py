"""How one method serves code that awaits and code that does not.

Owns the execution mode: a client is used from async or from sync code, whichever
comes first. Sync calls run on the one background loop of the process, which
`openenv_sync` keeps. What a call does is its caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from openenv_async.compat.client.deferred_call import Call, Make
from openenv_sync import process

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if any."""
    return asyncio._get_running_loop()


def on_background_loop() -> bool:
    """Whether this code runs on the loop of the sync clients, which must not wait for itself."""
    loop, portal = running_loop(), process.current()
    return loop is not None and portal is not None and loop is portal.loop


def run_blocking(make: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
    """Run a coroutine on the background loop and wait for it; Ctrl-C cancels it.

    Raises:
        RuntimeError: this is that loop's own thread.
    """
    if on_background_loop():
        raise RuntimeError(f"{what} was used without await on the event loop that would carry it out; await it there")
    return process.portal().call(make)


async def in_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread. A cancelled call waits for its end: what it started must not be left without owner.

    Raises:
        CancelledError: after the work has ended, whatever it gave.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.cancelled() or task.exception()
        raise


class LoopLock:
    """A lock of whichever event loop runs: asyncio's own belong to the one where they were first waited for."""

    def __init__(self) -> None:
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def here(self) -> asyncio.Lock:
        """Give the running loop's lock."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        return self._lock[1]


class Dispatching:
    """The half of a client that finds out how it is used."""

    _dispatched: ClassVar[tuple[str, ...]] = ()
    """Methods, beside the client's own, that serve both kinds of code."""

    _execution_mode: str | None = None
    _claimed_on: asyncio.AbstractEventLoop | None = None

    def _claim_execution_mode(self, mode: str) -> None:
        """Settle on `sync` or `async` at first use.

        Raises:
            RuntimeError: it is the other, and the event loop of that use is still there.
        """
        loop = self._claimed_on
        if self._execution_mode in (None, mode) or (loop is not None and loop.is_closed()):
            self._execution_mode = mode
            self._claimed_on = running_loop() if mode == "async" else None
            return
        raise RuntimeError(
            f"EnvClient is already being used in {self._execution_mode} mode. "
            "Create a separate client instance when mixing sync and async code."
        )

    def _run_sync(self, coro_factory: Make[T], *, allow_async_handoff: bool = False) -> T:
        """Run an operation on the background loop and wait for it.

        Args:
            coro_factory: gives its coroutine.
            allow_async_handoff: no event loop runs here, so a client of async code may change sides.
        """
        if allow_async_handoff and self._execution_mode == "async":
            self._execution_mode, self._claimed_on = "sync", None
        else:
            self._claim_execution_mode("sync")
        return run_blocking(coro_factory, type(self).__name__)

    def _dispatch(self, coro_factory: Make[T], name: str = "call", depth: int = 3) -> Any:
        """Give a result, or in async code what can be awaited for it."""
        if running_loop() is None:
            return self._run_sync(coro_factory, allow_async_handoff=True)
        if self._execution_mode == "sync" and not on_background_loop():
            return self._run_sync(coro_factory)
        return Call(f"{type(self).__name__}.{name}", coro_factory, self._awaited, self._run_sync, depth)

    def _awaited(self) -> None:
        if not (self._execution_mode == "sync" and on_background_loop()):
            self._claim_execution_mode("async")
