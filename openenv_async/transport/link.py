"""The contract of a transport: a `Link` carries whole messages, in order, both ways.

Every implementation passes `tests/transport/test_link_contract.py`. Exceptions of
the libraries underneath stop here: a link raises only the three below.
"""

from __future__ import annotations

from typing import Protocol

Message = bytes | str


class LinkClosed(ConnectionError):
    """Either end has closed, or the connection broke. `code` is the WebSocket close code, 1006 if none came."""

    def __init__(self, reason: str = "the connection is closed", code: int = 1006) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class LinkRefused(ConnectionError):
    """A link could not be opened. `status` is the HTTP status of the refusal, or None when there was no HTTP answer.

    `dropped`: the connection was accepted and then lost, so a retry may succeed.
    """

    def __init__(self, reason: str, status: int | None = None, *, dropped: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.status, self.dropped = reason, status, dropped


class CertificateRefused(LinkRefused):
    """The client does not trust the server's certificate, or the server does not accept the client's."""


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
        """Return the next message.

        Raises:
            LinkClosed: there will be no more. A cancelled call loses no message.
        """

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close both ways. Safe to repeat, never raises, and returns within seconds."""
