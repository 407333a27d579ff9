"""A pair of links inside one event loop, for tests and for playing without a network."""

from __future__ import annotations

from openenv_async.transport.link import LinkClosed, Message
from openenv_async.transport.pipe import Pipe


class MemoryLink:
    """One end of `memory_links()`."""

    def __init__(self, outgoing: Pipe[Message], incoming: Pipe[Message], subprotocol: str | None) -> None:
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
        self._out.close(error)
        self._in.close(error)


def memory_links(subprotocol: str | None = None, capacity: int = 64) -> tuple[MemoryLink, MemoryLink]:
    """Give two connected links; `capacity` messages may wait each way."""
    one, two = Pipe[Message](capacity), Pipe[Message](capacity)
    return MemoryLink(one, two, subprotocol), MemoryLink(two, one, subprotocol)
