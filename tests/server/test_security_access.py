"""Which requests a server answers: by Host, Origin, Sec-Fetch-Site, token and proxy headers, on each route and wire."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.play_env import play_app
from support.servers import Journal, bounded, serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

TOKEN = "correct-horse-battery"
FRIEND = "https://friend.example"


@dataclass(frozen=True)
class Ask:
    """One combination; `{port}` stands for the server's."""

    host: str
    origin: str | None
    site: str | None
    token: bool
    proxied: bool

    def headers(self, port: str) -> dict[str, str]:
        found = {"host": self.host.format(port=port)}
        if self.origin is not None:
            found["origin"] = self.origin.format(port=port)
        if self.site is not None:
            found["sec-fetch-site"] = self.site
        if self.token:
            found["authorization"] = f"Bearer {TOKEN}"
        if self.proxied:
            found |= {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9;host=localhost"}
        return found


HOSTS = ("127.0.0.1:{port}", "localhost:{port}", "evil.example:{port}", "friend.example")
ORIGINS = (None, "http://127.0.0.1:{port}", "http://evil.example", "http://evil.example:{port}", FRIEND, "null")
SITES = (None, "none", "same-origin", "same-site", "cross-site")
ASKS = [
    Ask(*row)
    for row in itertools.product(HOSTS, ORIGINS, SITES, (False, True), (False, True))
    # Browsers send Sec-Fetch-Site beside an Origin too, but the origin decides.
    if row[1] is None or row[2] in (None, "cross-site")
]


def expected(ask: Ask, *, needs_token: bool, allowed: bool, method: str = "") -> int:
    """The rule as the documentation says it: 200, 401 or 403."""
    own = ask.host.startswith(("127.", "localhost"))
    trusted = own or needs_token or (allowed and ask.host == "friend.example")
    if ask.origin is not None:
        same = ask.origin.partition("://")[2] == ask.host
        page = (allowed and ask.origin == FRIEND) or (same and trusted)
    else:
        # A browser sends an Origin with every WebSocket and every POST.
        named = trusted or method != "GET"
        page = not method or (named and ask.site in (None, "none", "same-origin"))
    if not page:
        return 403
    return 401 if needs_token and not ask.token else 200


ONCE = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


@requirement("server:origin")
@ONCE
@pytest.mark.parametrize("allowed", [False, True], ids=["none-allowed", "friend-allowed"])
@pytest.mark.parametrize("needs_token", [False, True], ids=["open", "token"])
async def test_every_route_answers_by_one_rule(needs_token: bool, allowed: bool) -> None:
    app = play_app(Journal(), token=TOKEN if needs_token else None, allow_origins=(FRIEND,) if allowed else ())
    seen: dict[tuple[Ask, str], int] = {}
    wanted: dict[tuple[Ask, str], int] = {}
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as http:
        port = served.url.rpartition(":")[2]
        for number, ask in enumerate(ASKS):
            # One route for each combination, in turn, so that every route meets all kinds of headers.
            method, path = ROUTES[number % len(ROUTES)]
            answer = await bounded(http.request(method, path, headers=ask.headers(port)))
            seen[ask, path] = answer.status_code if answer.status_code in (401, 403) else 200
            wanted[ask, path] = expected(ask, needs_token=needs_token, allowed=allowed, method=method)
        assert (await http.get("/health", headers={"host": "evil.example"})).status_code == 200
    assert {key: value for key, value in seen.items() if value != wanted[key]} == {}
    assert set(wanted.values()) == ({200, 401, 403} if needs_token else {200, 403})


ROUTES = [
    *(("GET", path) for path in ("/capacity", "/metadata", "/schema", "/state", "/openapi.json", "/docs", "/nowhere")),
    *(("POST", path) for path in ("/reset", "/step")),
]


@requirement("server:origin")
@ONCE
@pytest.mark.parametrize("native", [False, True], ids=["json", "native"])
@pytest.mark.parametrize("needs_token", [False, True], ids=["open", "token"])
async def test_every_wire_answers_by_the_same_rule(needs_token: bool, native: bool) -> None:
    app = play_app(Journal(), token=TOKEN if needs_token else None, allow_origins=(FRIEND,))
    wrong: dict[Ask, Any] = {}
    async with serving(app) as served:
        port = served.url.rpartition(":")[2]
        for ask in ASKS:
            if ask.site is not None or ask.proxied:
                continue  # browsers send an Origin with every WebSocket, and that decides
            headers = ask.headers(port)
            host = headers.pop("host").partition(":")[0]
            status = await handshake(int(port), host, headers, native)
            if status != expected(ask, needs_token=needs_token, allowed=True):
                wrong[ask] = status
    assert wrong == {}


async def handshake(port: int, host: str, headers: dict[str, str], native: bool) -> int:
    # The address of `host` is never looked up: the connection is to the server's own.
    uri = f"ws://{host}:{port}/ws" if host != "friend.example" else f"ws://{host}/ws"
    subprotocols: Any = ["openenv.v1"] if native else None
    try:
        async with connect(uri, host="127.0.0.1", port=port, additional_headers=headers, subprotocols=subprotocols):
            return 200
    except InvalidStatus as exc:
        return exc.response.status_code
