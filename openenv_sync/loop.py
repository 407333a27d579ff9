"""An event loop in a background thread, and how a blocking call crosses over to it.

Owns the loop, its thread and the hand-off. Does not know how many there are
(`process` keeps one) nor what is called (`client` gives it coroutines to run).

A call costs two thread switches, and those dominate: one wake-up of the loop to
begin, one lock to release at the end, and nothing else. The lock is made per
call because that costs a hundredth of a switch, and a lock used again could be
released by an earlier call that Ctrl-C gave up on.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from openenv_async.errors import ClientClosed

T = TypeVar("T")

logger = logging.getLogger(__name__)

_SIGNAL_CHECK_S = 0.1
"""A wait of the main thread is cut into pieces of this length: a signal that arrives just before the thread sleeps
does not wake it (on Windows none does), and Python looks for signals between two waits."""

_CANCEL_GRACE_S = 1.0
"""Seconds an interrupted call may take to end on the loop before the interrupt is raised anyway."""

EXIT_GRACE_S = 1.0
"""Seconds the interpreter's exit waits for open sessions to end, and again for the thread."""

OWNER_EXIT_GRACE_S = 15.0
"""The same for a client that owns a server, which has to end: a container is given ten seconds for that."""

_LINGER_S = 0.2
"""Seconds after that for the connections to end before they are cut."""

_DAEMON_PATIENCE_S = 3.0
"""Seconds within which an exiting interpreter should have ended its daemon threads."""


class Closable(Protocol):
    """What the portal holds until it is closed: the async client under a sync one."""

    async def close(self) -> None:
        """End the session on the server; safe to repeat."""


class _Call(Generic[T]):
    """One blocking call: made in the caller's thread, run on the loop, read in the caller's thread."""

    __slots__ = ("args", "error", "finished", "func", "kwargs", "lock", "loop", "result", "task")

    result: T

    def __init__(
        self, loop: asyncio.AbstractEventLoop, func: Callable[..., Awaitable[T]], args: Any, kwargs: dict[str, Any]
    ) -> None:
        self.loop, self.func, self.args, self.kwargs = loop, func, args, kwargs
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.finished = False
        self.lock = _thread.allocate_lock()
        self.lock.acquire()

    def start(self) -> None:
        self.task = self.loop.create_task(self._run())

    async def _run(self) -> None:
        # Releasing here and not in a done-callback saves a turn of the loop. Whatever is raised belongs to the
        # caller, SystemExit and cancellation included: let out of the task, it would end the loop for every client.
        try:
            self.result = await self.func(*self.args, **self.kwargs)
        except BaseException as exc:
            self.error = exc
        finally:
            self.finish()

    def finish(self) -> None:
        self.finished = True
        self.lock.release()

    def cancel(self) -> None:
        if self.finished:
            return
        if self.task is None:  # the interrupt came before the call was posted
            self.finish()
            return
        self.task.cancel()
        self.task.add_done_callback(self._cancelled)

    def _cancelled(self, task: asyncio.Task[None]) -> None:
        if not self.finished:  # cancelled before its first step, a task never runs at all
            self.finish()

    def wait(self) -> None:
        if self.lock.acquire(True, _SIGNAL_CHECK_S):
            return
        # Only the main thread handles signals; hundreds of others must not wake up for nothing.
        pause_s = _SIGNAL_CHECK_S if threading.current_thread() is threading.main_thread() else -1
        while not self.lock.acquire(True, pause_s):
            pass

    def give_up(self) -> None:
        """Cancel the call and wait a moment for it to end, so that the client is not found busy afterwards."""
        self.loop.call_soon_threadsafe(self.cancel)
        if not self.finished:
            self.lock.acquire(True, _CANCEL_GRACE_S)


class Portal:
    """A running event loop in a daemon thread of its own."""

    def __init__(self) -> None:
        self.loop = _new_event_loop()
        self._clients: dict[Closable, float] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="openenv-sync-loop", daemon=True)
        self._thread.start()

    def call(self, func: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
        """Run `func(*args, **kwargs)` on the loop, in the caller's contextvars, and return its result.

        An exception raised in the waiting thread by a signal handler (Ctrl-C) cancels the call and is raised.

        Raises:
            ClientClosed: the loop has been stopped, because the interpreter exits.
        """
        call = _Call(self.loop, func, args, kwargs)
        try:
            self.loop.call_soon_threadsafe(call.start)
            call.wait()
        except BaseException as exc:
            if self.loop.is_closed():
                raise too_late() from exc
            call.give_up()
            raise
        error, call.error = call.error, None  # its traceback refers to the call: no cycle
        if error is None:
            return call.result
        try:
            raise too_late() if self._stopping else error
        finally:
            del error  # its traceback refers to this frame, too

    def hold(self, client: Closable, grace_s: float = EXIT_GRACE_S) -> None:
        """Close this client when the loop is stopped, unless it is let go before; give it so many seconds."""
        self._clients[client] = grace_s

    def let_go(self, client: Closable) -> None:
        """Forget a client that has been closed."""
        self._clients.pop(client, None)

    def abandon(self, client: Closable) -> None:
        """Close a client without waiting for it. Safe from a finalizer, in any thread, and once the loop is gone."""
        self._clients.pop(client, None)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it every session
            self.loop.call_soon_threadsafe(self._close_soon, client)

    def stop(self) -> None:
        """Close every client for a bounded time, cancel what is left, and end the thread. Safe to repeat."""
        if self._stopping:
            return
        self._stopping = True
        grace_s = max(self._clients.values(), default=EXIT_GRACE_S)
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._wind_up(grace_s), self.loop).result(grace_s + 2 * EXIT_GRACE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(EXIT_GRACE_S)
        if not self._thread.is_alive():
            self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        # A callback that raises SystemExit ends run_forever(); callers would then wait for ever.
        while not self._stopping:
            try:
                self.loop.run_forever()
            except BaseException:
                logger.exception("a callback broke the event loop of the sync clients; it goes on")

    def _close_soon(self, client: Closable) -> None:
        task = self.loop.create_task(_close(client))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _wind_up(self, grace_s: float) -> None:
        for client in list(self._clients):
            self._close_soon(client)
        self._clients.clear()
        if self._endings:
            await asyncio.wait(self._endings, timeout=grace_s)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:  # shared connections, which end by themselves after their last session
            _, rest = await asyncio.wait(rest, timeout=_LINGER_S)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=EXIT_GRACE_S)
        await self.loop.shutdown_asyncgens()


async def _close(client: Closable) -> None:
    try:
        await client.close()
    except Exception:
        # No caller is left to raise it in: the client was collected or the interpreter exits.
        logger.debug("closing an abandoned client failed", exc_info=True)


def too_late() -> ClientClosed:
    """Return the error for a call that the interpreter's exit overtook."""
    if threading.current_thread().daemon:
        # The interpreter ends such a thread in a moment; raised before that, the error would only be printed.
        time.sleep(_DAEMON_PATIENCE_S)
    return ClientClosed("the interpreter is exiting and every sync client has been closed; make this call before that")


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
