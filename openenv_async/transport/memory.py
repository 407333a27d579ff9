"""A pair of links inside one event loop, for tests and for playing without a network."""

from __future__ import annotations

import asyncio
from collections import deque

from openenv_async.transport.link import LinkClosed, Message


class _Pipe:
    """One direction: at most `capacity` messages wait in it."""

    def __init__(self, capacity: int) -> None:
        self.messages: deque[Message] = deque()
        self.closed: LinkClosed | None = None
        self.capacity = capacity
        self.changed = asyncio.Condition()

    async def put(self, message: Message) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.closed or len(self.messages) < self.capacity)
            if self.closed:
                raise self.closed
            self.messages.append(message)
            self.changed.notify_all()

    async def get(self) -> Message:
        async with self.changed:
            await self.changed.wait_for(lambda: self.closed or self.messages)
            if not self.messages and self.closed:
                raise self.closed
            message = self.messages.popleft()
            self.changed.notify_all()
            return message

    async def close(self, error: LinkClosed) -> None:
        async with self.changed:
            self.closed = self.closed or error
            self.changed.notify_all()


class MemoryLink:
    """One end of `memory_links()`."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, subprotocol: str | None) -> None:
        self._out, self._in, self.subprotocol = outgoing, incoming, subprotocol

    async def send(self, message: Message) -> None:
        """See `Link.send`. Waits while the other end has not read enough."""
        await self._out.put(message)

    async def receive(self) -> Message:
        """See `Link.receive`. What was sent before the close still arrives."""
        return await self._in.get()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        error = LinkClosed(reason or "the connection is closed", code)
        await self._out.close(error)
        await self._in.close(error)


def memory_links(subprotocol: str | None = None, capacity: int = 64) -> tuple[MemoryLink, MemoryLink]:
    """Give two connected links; `capacity` messages may wait each way."""
    one, two = _Pipe(capacity), _Pipe(capacity)
    return MemoryLink(one, two, subprotocol), MemoryLink(two, one, subprotocol)
