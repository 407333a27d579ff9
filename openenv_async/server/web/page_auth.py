"""How the web page gets through the token: browsers cannot send `Authorization` with a WebSocket.

The page asks its user for the token and sends it, as every client does, in the header
of its requests. For `/ws` it fetches a ticket, which it presents as a subprotocol: good
for half a minute and for one handshake. The token itself is in no address, no cookie
and no handshake; a ticket that a log has caught is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable

from openenv_async.server.web.files import page_files

SUBPROTOCOL = "openenv-web.v1"
"""What the page speaks on `/ws`: see `server.web.page_messages`."""

PREFIX = "openenv-ticket."
LIFETIME_S = 30


class Tickets:
    """Issues tickets and takes each of them once. They are signed, so that any process with the token knows them."""

    def __init__(self, token: str) -> None:
        self._key = hmac.digest(token.encode(), b"openenv web ticket", "sha256")
        self._used: dict[str, int] = {}

    def issue(self) -> str:
        """Give a ticket."""
        head = f"{int(time.time()) + LIFETIME_S}.{secrets.token_hex(16)}"
        return f"{head}.{self._signed(head)}"

    def take(self, ticket: str) -> bool:
        """Say whether a ticket is good. It is not any longer, then."""
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
    """What of a server is open to its web page.

    Args:
        on: whether there is a page.
        token: what it needs tickets for; None: nothing.
    """

    def __init__(self, on: bool, token: str | None) -> None:
        self.on = on
        self.tickets = Tickets(token) if token else None

    def shows(self, path: str) -> bool:
        """Say whether the page's files are at this path: they are the same on every server, and need no token."""
        return self.on and (path in ("/", "/web", "/web/") or path.removeprefix("/web/") in page_files())

    def admits(self, path: str, subprotocols: Iterable[str]) -> bool:
        """Say whether a WebSocket may open at this path by a ticket among what it offers."""
        if not self.on or path != "/ws" or self.tickets is None:
            return False
        offered = [name.removeprefix(PREFIX) for name in subprotocols if name.startswith(PREFIX)]
        return len(offered) == 1 and self.tickets.take(offered[0])

    def speaks(self, subprotocols: Iterable[str]) -> bool:
        """Say whether a WebSocket is the page's."""
        return self.on and SUBPROTOCOL in subprotocols
