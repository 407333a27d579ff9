"""The event loop on which sessions live that outlast the request that made them.

That is the loop of the app's lifespan. An app without one, mounted under another
or driven by a test client with a loop for each request, gets a loop of its own in a
thread, so that its sessions survive those that end.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_END_S = 5.0


class Home:
    """Gives the loop.

    Args:
        farewell: run on the loop of its own when the process ends, if there is one then.
    """

    def __init__(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._farewell = farewell
        self._lifespan: asyncio.AbstractEventLoop | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def begin(self) -> None:
        """The app's lifespan begins on the running loop."""
        self._lifespan = asyncio.get_running_loop()

    def end(self) -> None:
        """The app's lifespan ends."""
        self._lifespan = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop where new sessions live."""
        return self._lifespan or self.own

    @property
    def own(self) -> asyncio.AbstractEventLoop:
        """The loop in a thread, started now if it does not run yet."""
        with self._starting:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(target=self._own.run_forever, name="openenv sessions", daemon=True).start()
                atexit.register(self._finish, self._own)
            return self._own

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._farewell(), loop).result(_END_S)
        except Exception:  # the process ends: nobody is left to hear of it
            return


async def at(loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a coroutine on another loop, or here if it is this one."""
    if loop is asyncio.get_running_loop():
        return await make()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), loop))
