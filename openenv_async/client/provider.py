"""The contract of what starts a server for a client and ends it again."""

from __future__ import annotations

from typing import Protocol


class Provider(Protocol):
    """A source of servers: a process, a container, a Space. Owned by the client it is given to."""

    async def start(self) -> str:
        """Start a server and give its URL once it is healthy."""

    async def stop(self) -> None:
        """End the server. Safe to repeat."""
