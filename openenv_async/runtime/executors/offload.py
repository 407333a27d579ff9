"""The plain `def` methods of an environment that otherwise runs on the event loop.

Each call gets a thread that ends with it: an idle session keeps none, and however
many calls hang, none takes the threads of another session. An environment that
wants all of its plain methods on the thread that built it keeps that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from openenv_async.runtime.threads import PinnedThread

T = TypeVar("T")


class Offload:
    """Runs one environment's functions off the loop, one at a time. `await offload(function)`.

    Cancelling the await does not stop the function; `busy` says that it runs on.
    """

    def __init__(self, session_id: str, thread: PinnedThread | None = None) -> None:
        """Run every function on `thread`, which becomes ours to end, or each on one of its own."""
        self._session_id = session_id
        self._thread = thread
        self._last: asyncio.Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """A function is at work, whether anybody waits for it or not."""
        return self._last is not None and not self._last.done()

    async def __call__(self, function: Callable[[], T]) -> T:
        """Run a function in a thread; gives what it gives and raises what it raises."""
        thread = self._thread or PinnedThread(f"openenv-{self._session_id}")
        future = thread.run(function)
        if self._thread is None:
            thread.stop()
        self._last = future
        await self.landed()
        return future.result()

    def end(self) -> None:
        """Let the thread go, if there is one to keep: nothing more will be run."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    async def landed(self) -> None:
        """Wait until the function at work, if any, has ended in any way."""
        if self._last is not None:
            await asyncio.wait([self._last])
            if not self._last.cancelled():
                self._last.exception()
