"""Tickets with which the web page opens a WebSocket, where browsers cannot send `Authorization`.

The page asks its user for the token and sends it, as every client does, in the header
of its requests. For `/ws` it fetches a ticket, valid for half a minute and one handshake,
and offers it as a subprotocol. So the token is never in an address, a cookie or a
handshake, and a ticket found in a log cannot be used.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable

from openenv_async.server.web.files import page_files

SUBPROTOCOL = "openenv-web.v1"
"""The page's subprotocol on `/ws`: see `server.web.page_messages`."""

PREFIX = "openenv-ticket."
LIFETIME_S = 30


class Tickets:
    """Issues tickets and accepts each once. They are signed, so that any process with the token can verify them."""

    def __init__(self, token: str) -> None:
        self._key = hmac.digest(token.encode(), b"openenv web ticket", "sha256")
        self._used: dict[str, int] = {}

    def issue(self) -> str:
        """Return a new ticket."""
        head = f"{int(time.time()) + LIFETIME_S}.{secrets.token_hex(16)}"
        return f"{head}.{self._signed(head)}"

    def take(self, ticket: str) -> bool:
        """Return whether a ticket is valid, and use it up."""
        head, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(head).encode()):
            return False
        now = int(time.time())
        expires = int(head.partition(".")[0])  # digits: it is signed
        self._used = {known: until for known, until in self._used.items() if until >= now}
        if expires < now or head in self._used:
            return False
        self._used[head] = expires
        return True

    def _signed(self, head: str) -> str:
        return hmac.new(self._key, head.encode(), hashlib.sha256).hexdigest()


class PageAccess:
    """Access that a server's web page has without the token.

    Args:
        on: whether there is a page.
        token: the server's token, which makes tickets necessary; None: none are needed.
    """

    def __init__(self, on: bool, token: str | None) -> None:
        self.on = on
        self.tickets = Tickets(token) if token else None

    def shows(self, path: str) -> bool:
        """Return whether the page's files are at this path: they are the same on every server, and need no token."""
        return self.on and (path in ("/", "/web", "/web/") or path.removeprefix("/web/") in page_files())

    def admits(self, path: str, subprotocols: Iterable[str]) -> bool:
        """Return whether a WebSocket may open at this path with a ticket among its subprotocols."""
        if not self.on or path != "/ws" or self.tickets is None:
            return False
        offered = [name.removeprefix(PREFIX) for name in subprotocols if name.startswith(PREFIX)]
        return len(offered) == 1 and self.tickets.take(offered[0])

    def speaks(self, subprotocols: Iterable[str]) -> bool:
        """Return whether a WebSocket is the page's."""
        return self.on and SUBPROTOCOL in subprotocols
