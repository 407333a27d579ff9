"""Who may talk to the server: the token, and web pages that try to reach it from a browser.

A pure ASGI middleware in front of every route. Secrets are compared in constant
time and appear in no message.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Any

import msgspec

from openenv_async.server.web.page_auth import Gate
from openenv_async.transport.in_process import AsgiApp
from openenv_async.transport.ws_server import Receive, Send

OPEN_PATHS = frozenset({"/health"})
"""Answered without a token, so that an orchestrator can probe a server it may not use."""


class Guard:
    """Refuses requests without the token, and those of web pages from elsewhere.

    Args:
        app: what is guarded.
        token: required as `Authorization: Bearer TOKEN`; None: no token is needed.
        allow_origins: origins such as `https://example.org` whose pages may connect, besides the
            server's own; `"*"` allows every page. An origin is the server's own when it is the host of
            the request; on a loopback socket without a token it must be a name of this machine, too.
        page: what is open to the server's own web page.
    """

    def __init__(
        self, app: AsgiApp, token: str | None, allow_origins: tuple[str, ...], page: Gate | None = None
    ) -> None:
        self._app, self._page = app, page
        self._token = token.encode() if token else None
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            shown = scope["type"] == "http" and self._page is not None and self._page.shows(path)
            # The page's own files are the same on every server. A page that may not go on can say so.
            if not shown and not self._origin_fits(scope, headers):
                origin = headers.get(b"origin", b"").decode("latin-1")
                text = f"pages of {origin} may not use this server; allow them with --allow-origin {origin}"
                await _refuse(scope, receive, send, 403, "FORBIDDEN_ORIGIN", text)
                return
            if self._token is not None and not (shown or self._is_open(path, scope) or self._token_fits(headers)):
                text = "this server needs a token: send it as `Authorization: Bearer TOKEN` (token= of the client)"
                await _refuse(scope, receive, send, 401, "UNAUTHORIZED", text)
                return
        await self._app(scope, receive, send)

    def _is_open(self, path: str, scope: Any) -> bool:
        if scope["type"] == "websocket" and self._page is not None:
            return self._page.admits(path, scope.get("subprotocols", ()))
        return path in OPEN_PATHS

    def _token_fits(self, headers: dict[bytes, bytes]) -> bool:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token or b"")

    def _origin_fits(self, scope: Any, headers: dict[bytes, bytes]) -> bool:
        origin = headers.get(b"origin")
        if origin is None or "*" in self._origins:
            return True
        text = origin.decode("latin-1").rstrip("/").lower()
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if text in self._origins:
            return True
        if not host or text.partition("://")[2] != host:
            return False
        # Whoever has a domain can let it lead to this machine, once a browser has loaded a page from it (DNS
        # rebinding): then the page's origin is the host that the browser asks for. It cannot know a token.
        return self._token is not None or not _is_loopback(scope) or _is_ours(host)


def _is_loopback(scope: Any) -> bool:
    """Whether the connection came to an address that only this machine has."""
    address, _ = scope.get("server") or ("", None)
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a unix socket's path, or the name that a test client uses
        return False


def _is_ours(host: str) -> bool:
    """Whether a `Host` can be nobody's domain: an address, or a name that always is this machine."""
    name = re.sub(r":\d*$", "", host).strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Any, receive: Receive, send: Send, status: int, code: str, text: str) -> None:
    body = msgspec.json.encode({"detail": text, "code": code})
    start = {"status": status, "headers": [(b"content-type", b"application/json")]}
    if status == 401:
        start["headers"] = [*start["headers"], (b"www-authenticate", b"Bearer")]  # type: ignore[misc]
    if scope["type"] == "http":
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": text[:120]})
