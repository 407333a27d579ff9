"""Threads for the plain `def` methods of an environment that otherwise runs on the event loop.

Each call gets a thread that ends with it: an idle session keeps none, and however many calls hang, none takes
the thread of another session. An environment that wants its plain methods on the thread that built it keeps that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from openenv_async.runtime.threads import PinnedThread

T = TypeVar("T")


class Offload:
    """Runs one environment's functions in threads, one at a time. `await offload(function)`.

    Cancelling the await does not stop the function; `busy` says that it still runs.

    Args:
        session_id: for the threads' names.
        thread: runs every function, and is stopped by `end()`; None: each function gets a thread of its own.
    """

    def __init__(self, session_id: str, thread: PinnedThread | None = None) -> None:
        self._session_id = session_id
        self._thread = thread
        self._last: asyncio.Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """A function is running, also when its caller has gone."""
        return self._last is not None and not self._last.done()

    async def __call__(self, function: Callable[[], T]) -> T:
        """Run a function in a thread; returns what it returns and raises what it raises."""
        thread = self._thread or PinnedThread(f"openenv-{self._session_id}")
        future = thread.run(function)
        if self._thread is None:
            thread.stop()
        self._last = future
        await self.finished()
        return future.result()

    def end(self) -> None:
        """Stop the kept thread, if there is one: no function will be run any more."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    async def finished(self) -> None:
        """Wait until the running function, if any, has returned or raised."""
        if self._last is not None:
            await asyncio.wait([self._last])
            if not self._last.cancelled():
                self._last.exception()
