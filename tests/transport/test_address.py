"""Where a client's link goes and what it says there: proxies, headers, the path."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from link_pairs import OPENERS, Acceptor, Opener
from raw_server import raw_server, read_request
from support.servers import bounded, serving

from openenv_async.transport.address import Address
from openenv_async.transport.link import Link, LinkRefused
from openenv_async.transport.network import connect_link


@pytest.fixture(params=[*OPENERS.values(), connect_link], ids=[*OPENERS, "connect_link"])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.param
    return found


async def open_to(opener: Opener, url: str, **options: Any) -> Link:
    link: Link = await bounded(opener(Address(url=f"{url}/ws", **({"connect_timeout_s": 5.0} | options))))
    return link


async def refusal(opener: Opener, url: str, **options: Any) -> LinkRefused:
    with pytest.raises(LinkRefused) as caught:
        await open_to(opener, url, **options)
    assert str(caught.value)
    return caught.value


class Proxy:
    """Counts who comes."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await read_request(reader))[""])
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Any:
    def through(url: str) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
            monkeypatch.setenv(name, url)
            monkeypatch.setenv(name.upper(), url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)

    return through


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "unix"])
async def test_a_proxy_does_not_catch_what_stays_on_this_machine(
    opener: Opener, proxied: Any, host: str, tmp_path: Path
) -> None:
    proxy, acceptor = Proxy(), Acceptor(None)
    bind: Any = tmp_path / "s" if host == "unix" else (host, 0)
    async with raw_server(proxy) as proxy_url, serving(acceptor, bind) as served:
        proxied(proxy_url)
        unix = {"unix_path": str(bind)} if host == "unix" else {}
        link = await open_to(opener, "http://localhost" if host == "unix" else served.url, **unix)
        acceptor.end()
        await bounded(link.aclose())
    assert proxy.asked == []


async def test_a_proxy_is_used_for_what_is_elsewhere(proxied: Any) -> None:
    proxy = Proxy()
    async with raw_server(proxy) as proxy_url:
        proxied(proxy_url)
        await refusal(connect_link, "http://elsewhere.invalid")
    assert len(proxy.asked) == 1
    assert "elsewhere.invalid" in proxy.asked[0]


async def test_headers_and_the_path_arrive(opener: Opener) -> None:
    acceptor = Acceptor(None)
    async with serving(acceptor) as served:
        link = await open_to(opener, served.url, headers={"Authorization": "Bearer t", "X-Latin": "caf\xe9"})
        await acceptor.next_link()
        scope = next(scope for scope in acceptor.scopes if scope["type"] == "websocket")
        headers = dict(scope["headers"])
        assert headers[b"authorization"] == b"Bearer t"
        assert headers[b"x-latin"] in ("café".encode(), "café".encode("latin-1"))
        assert headers[b"host"] == served.url.removeprefix("http://").encode()
        acceptor.end()
        await bounded(link.aclose())


def test_an_address_shows_no_header_in_its_repr() -> None:
    address = Address(url="http://x/ws", headers={"Authorization": "Bearer secret"})
    assert "secret" not in repr(address)
    assert dataclasses.replace(address, url="http://y/ws").headers == address.headers


async def test_the_query_is_part_of_the_address() -> None:
    asked: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_request(reader))[""])

    async with raw_server(handler) as url:
        with pytest.raises(LinkRefused):
            await bounded(connect_link(Address(url=f"{url}/ws?session_id=a%20b", connect_timeout_s=5.0)))
    assert asked == ["GET /ws?session_id=a%20b HTTP/1.1"]
