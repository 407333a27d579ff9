"""How much has passed: two numbers that the connections of one wire share."""

from __future__ import annotations


class Traffic:
    """Bytes of whole messages, without what TLS and HTTP put around them."""

    __slots__ = ("connections", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.connections = 0
        """Connections, or for HTTP requests, that there have been."""
