"""One direction inside one event loop: a bounded queue that can be closed. `memory` and `inprocess` are made of it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from openenv_async.transport.link import LinkClosed

T = TypeVar("T")


class Pipe(Generic[T]):
    """At most `capacity` items wait in it. What was put before the close can still be got."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._waiting: set[asyncio.Future[None]] = set()
        self.closed: LinkClosed | None = None

    async def put(self, item: T) -> None:
        """Add an item; waits while the pipe is full.

        Raises:
            LinkClosed: it was closed, before or meanwhile. A cancelled call added nothing.
        """
        while self.closed is None and len(self._items) >= self._capacity:
            await self._change()
        if self.closed is not None:
            raise self.closed
        self._items.append(item)
        self._changed()

    async def get(self) -> T:
        """Take the oldest item; waits for one.

        Raises:
            LinkClosed: it was closed and is empty. A cancelled call took nothing.
        """
        while not self._items:
            if self.closed is not None:
                raise self.closed
            await self._change()
        item = self._items.popleft()
        self._changed()
        return item

    def close(self, error: LinkClosed) -> None:
        """Let nothing more in; whoever waits hears of it. The first close gives the reason."""
        if self.closed is None:
            self.closed = error
        self._changed()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _changed(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
