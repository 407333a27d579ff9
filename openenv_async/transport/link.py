"""The contract of a transport: a `Link` carries whole messages, in order, both ways.

Every implementation passes `tests/transport/test_link_contract.py`. Exceptions of
the libraries underneath stop here: users of a link only meet the three below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Message = bytes | str


class LinkClosed(ConnectionError):
    """Either end has closed, or the connection broke. `code` is the WebSocket close code, 1006 if none came."""

    def __init__(self, reason: str = "the connection is closed", code: int = 1006) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class LinkRefused(ConnectionError):
    """No link could be opened. `status` is the HTTP status that refused it, or None when nobody answered.

    `dropped` says that somebody had taken the connection and it broke: the next one may not.
    """

    def __init__(self, reason: str, status: int | None = None, *, dropped: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.status, self.dropped = reason, status, dropped


class CertificateRefused(LinkRefused):
    """The server's certificate is not one that this client trusts."""


class Link(Protocol):
    """One connection. One sender and one receiver at a time."""

    subprotocol: str | None
    """What both sides agreed on; None: OpenEnv's JSON wire."""

    async def send(self, message: Message) -> None:
        """Send one message; returns when the transport has taken it.

        Raises:
            LinkClosed: either end has closed. A cancelled call may have sent the message.
        """

    async def receive(self) -> Message:
        """Give the next message.

        Raises:
            LinkClosed: there will be none. A cancelled call loses no message.
        """

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close both ways. Safe to repeat, never raises, and returns within seconds."""


class PushLink(Link, Protocol):
    """A link that hands messages over as they arrive and takes messages without waiting, both in the same turn."""

    def push(self, take: Callable[[Message], None], ended: Callable[[LinkClosed], None]) -> None:
        """Call `take` with every message from now on, and `ended` once after the last; `receive` gives no more.

        Neither may raise.
        """

    def hold(self, held: bool) -> None:
        """Push nothing until further notice, and read nothing from the peer; or go on."""

    @property
    def can_send(self) -> bool:
        """The socket takes more at once, and neither end has closed."""

    def send_nowait(self, message: Message) -> None:
        """Send one message where `can_send` says so."""
