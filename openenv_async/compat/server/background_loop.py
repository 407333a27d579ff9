"""The event loop of the sessions that outlast the request that opened them.

That is the loop of the app's lifespan. An app without a lifespan (mounted under
another, or driven by a test client with a loop for each request) gets a loop in a
thread, so that its sessions survive the loops that end.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_END_S = 5.0


class BackgroundLoop:
    """Chooses the loop, and starts the one in a thread when it is needed.

    Args:
        drain: run on the loop in the thread, if there is one, when the process ends.
    """

    def __init__(self, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._drain = drain
        self._lifespan: asyncio.AbstractEventLoop | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def begin(self) -> None:
        """Take the running loop, on which the app's lifespan begins."""
        self._lifespan = asyncio.get_running_loop()

    def end(self) -> None:
        """Forget that loop: the app's lifespan ends."""
        self._lifespan = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of new sessions."""
        return self._lifespan or self.own

    @property
    def own(self) -> asyncio.AbstractEventLoop:
        """The loop in a thread, started now if it does not run."""
        with self._starting:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(target=self._own.run_forever, name="openenv sessions", daemon=True).start()
                atexit.register(self._finish, self._own)
            return self._own

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._drain(), loop).result(_END_S)
        except Exception:  # the process ends, and has no caller to tell
            return


async def at(loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a coroutine on a loop: another one, or the running one."""
    if loop is asyncio.get_running_loop():
        return await make()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), loop))
