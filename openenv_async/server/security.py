"""Access control: the token, and the origins of web pages.

A pure ASGI middleware in front of every route. Secrets are compared in constant
time and never appear in a message.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Any

import msgspec

from openenv_async.codec.safe_text import safe_text
from openenv_async.server.operator_key import HEADER, OperatorKey
from openenv_async.server.web.page_auth import PageAccess
from openenv_async.transport.in_process import AsgiApp
from openenv_async.transport.ws_server import Receive, Send

OPEN_PATHS = frozenset({"/health"})
"""Paths that need no token, so that an orchestrator can probe a server it may not use."""


OPERATOR = "openenv.operator"
"""Key of the ASGI scope: whether the request may list and end sessions."""


class Guard:
    """Middleware that decides which requests and WebSockets a server accepts, and which are an operator's.

    A request passes when it does not come from a web page of another origin and carries the token, where there is one.
    `scope[OPERATOR]` tells the routes behind it whether it may list and end sessions: with the token, or without one
    with the key of this server's start (`operator_key`).

    Args:
        app: the app behind it.
        token: required as `Authorization: Bearer TOKEN`; None: no token is needed.
        allow_origins: origins such as `https://example.org` whose pages may connect, besides the
            server's own; `"*"` allows every page. An origin is the server's own when it is the host of
            the request; on a loopback socket without a token it must be a name of this machine, too.
        page: what the server's own web page may do without the token.
        origin_pattern: regular expression; origins that it matches as a whole are allowed besides.
        operator_key: key of this start; None: an operator needs the token.
    """

    def __init__(
        self,
        app: AsgiApp,
        token: str | None,
        allow_origins: tuple[str, ...],
        page: PageAccess | None = None,
        *,
        origin_pattern: str | None = None,
        operator_key: OperatorKey | None = None,
    ) -> None:
        self._app, self._page, self._operator_key = app, page, operator_key
        self._token = token.encode() if token else None
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        self._pattern = re.compile(origin_pattern) if origin_pattern else None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            shown = scope["type"] == "http" and self._page is not None and self._page.shows(path)
            # The page's own files are the same on every server; without access the page can show why.
            problem = None if shown else self._foreign(scope, path, headers)
            if problem is not None:
                await _refuse(scope, receive, send, 403, "FORBIDDEN_ORIGIN", problem)
                return
            has_token = self._token is not None and self._token_fits(headers)
            if self._token is not None and not (has_token or shown or self._is_open(path, scope)):
                text = "this server needs a token: send it as `Authorization: Bearer TOKEN` (token= of the client)"
                await _refuse(scope, receive, send, 401, "UNAUTHORIZED", text)
                return
            scope[OPERATOR] = has_token or self._key_fits(headers)
        await self._app(scope, receive, send)

    def _is_open(self, path: str, scope: Any) -> bool:
        if scope["type"] == "websocket" and self._page is not None:
            return self._page.admits(path, scope.get("subprotocols", ()))
        return path in OPEN_PATHS

    def _token_fits(self, headers: dict[bytes, bytes]) -> bool:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token or b"")

    def _key_fits(self, headers: dict[bytes, bytes]) -> bool:
        given = headers.get(HEADER.encode())
        return (
            self._token is None
            and given is not None
            and self._operator_key is not None
            and (self._operator_key.fits(given))
        )

    def _foreign(self, scope: Any, path: str, headers: dict[bytes, bytes]) -> str | None:
        """Return why a request is refused as one of a foreign web page; None: it is not refused."""
        origin = headers.get(b"origin")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if "*" in self._origins:
            return None
        if origin is not None:
            shown = safe_text(origin.decode("latin-1"))
            if self._origin_fits(scope, shown.rstrip("/").lower(), host):
                return None
            return f"pages of {shown} may not use this server; allow them with --allow-origin {shown}"
        # A browser sends no Origin with a GET that opens an image, a script or a page; but it says whose page asks.
        if scope["type"] == "websocket" or path in OPEN_PATHS:
            return None
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return "pages of other sites may not use this server; allow one with --allow-origin ORIGIN"
        if scope["method"] not in ("GET", "HEAD") or self._trusts_host(scope, host):
            return None
        shown = safe_text(f"{scope.get('scheme', 'http')}://{host}")
        return f"pages of {shown} may not use this server; allow them with --allow-origin {shown}, or give it a token"

    def _origin_fits(self, scope: Any, origin: str, host: str) -> bool:
        if origin in self._origins or (self._pattern is not None and self._pattern.fullmatch(origin)):
            return True
        return bool(host) and origin.partition("://")[2] == host and self._trusts_host(scope, host)

    def _trusts_host(self, scope: Any, host: str) -> bool:
        # The owner of a domain can let it lead to this machine, once a browser has loaded a page from it (DNS
        # rebinding): then the page's origin is the host that the browser asks for. It cannot know a token.
        if self._token is not None or not host or not _is_loopback(scope) or _is_ours(host):
            return True
        return any(origin.partition("://")[2] == host for origin in self._origins)


def _is_loopback(scope: Any) -> bool:
    """Return whether the connection came to a loopback address."""
    address, _ = scope.get("server") or ("", None)
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a unix socket's path, or the name that a test client uses
        return False


def _is_ours(host: str) -> bool:
    """Return whether a `Host` cannot be a domain: it is an address, or a name that always means this machine."""
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
