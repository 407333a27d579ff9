"""The proxy itself: what passes, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.fault_plans import CUTS, Fault, Kind, Way, always, healthy
from support.fault_proxy import Address, Proxy
from support.servers import bounded

# The proxy has a loop of its own, whatever the test's is.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])

FAMILIES = pytest.mark.parametrize("family", ["tcp", "unix"])
DATA = bytes(range(256)) * 40


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@contextlib.contextmanager
def echo(family: str, folder: Path) -> Iterator[Address]:
    """A server that gives back what it gets, in threads that have ended when this does."""
    address: Address
    server: socketserver.ThreadingUnixStreamServer | socketserver.ThreadingTCPServer
    if family == "unix":
        address = folder / "echo.sock"
        server = socketserver.ThreadingUnixStreamServer(str(address), Echo)
    else:
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        address = "127.0.0.1", server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await bounded(self.writer.drain())

    async def hear(self, size: int) -> bytes:
        return await bounded(self.reader.readexactly(size))

    async def hear_all(self) -> bytes:
        """Give what comes until the end; a reset is an end too."""
        heard = b""
        with contextlib.suppress(ConnectionError):
            while data := await bounded(self.reader.read(65536)):
                heard += data
        return heard


@contextlib.asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[Client]:
    if proxy.url.startswith("unix:"):
        client = Client(*await asyncio.open_unix_connection(proxy.url.removeprefix("unix:")))
    else:
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
    try:
        yield client
    finally:
        client.writer.close()


@contextlib.asynccontextmanager
async def between(family: str, folder: Path, *faults: Fault) -> AsyncIterator[tuple[Proxy, Client]]:
    """An echo server, a proxy that does this to each connection, and a client."""
    with echo(family, folder) as address:
        listen: Address = folder / "proxy.sock" if family == "unix" else ("127.0.0.1", 0)
        with Proxy(address, listen, always(*faults)) as proxy:
            async with client_of(proxy) as client:
                yield proxy, client


@FAMILIES
async def test_a_healthy_connection_carries_every_byte(family: str, tmp_path: Path) -> None:
    async with between(family, tmp_path) as (proxy, client):
        for _ in range(20):
            await client.say(DATA)
            assert await client.hear(len(DATA)) == DATA
        client.writer.write_eof()
        assert await client.hear_all() == b""
        assert proxy.counts == {"connections": 1}


@FAMILIES
@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("at", [0, 1, 999, len(DATA) - 1])
async def test_a_cut_is_at_its_byte(family: str, kind: Kind, way: Way, at: int, tmp_path: Path) -> None:
    async with between(family, tmp_path, Fault(kind=kind, way=way, at=at)) as (proxy, client):
        await client.say(DATA)
        heard = await client.hear_all()
        # Upward, the echo of what came before the cut may be on its way still.
        assert DATA.startswith(heard) if way == "up" else heard == DATA[:at]
        assert len(heard) <= at
        assert proxy.counts == {"connections": 1, kind: 1}


async def test_a_reset_is_one_and_a_finish_is_one(tmp_path: Path) -> None:
    for kind in CUTS:
        async with between("tcp", tmp_path, Fault(kind=kind, way="down", at=1)) as (_, client):
            await client.say(b"ab")
            assert await client.hear(1) == b"a"
            if kind == "reset":
                with pytest.raises(ConnectionResetError):
                    await bounded(client.reader.read())
            else:
                assert await bounded(client.reader.read()) == b""


@FAMILIES
async def test_half_open_swallows_and_tells_nobody(family: str, tmp_path: Path) -> None:
    async with between(family, tmp_path, Fault(kind="half-open", way="up", at=3)) as (proxy, client):
        await client.say(b"abc")
        assert await client.hear(3) == b"abc"
        await client.say(b"lost")
        with pytest.raises(TimeoutError):
            await bounded(client.reader.read(1), 0.1)
        assert not client.reader.at_eof()
        assert proxy.counts["swallowed"] == 4
        proxy.cut()
        assert await client.hear_all() == b""


@FAMILIES
async def test_truncate_swallows_the_rest_and_ends(family: str, tmp_path: Path) -> None:
    async with between(family, tmp_path, Fault(kind="truncate", way="down", at=3)) as (proxy, client):
        await client.say(b"abcdef")
        assert await client.hear_all() == b"abc"
        assert proxy.counts["swallowed"] == 3


HEAD = b"GET /ws HTTP/1.1\r\n\r\n"
SHORT, MASKED, LONG = b"\x82\x03one", b"\x82\x82mask\x01\x02", b"\x82\x7e\x01\x00" + b"x" * 256


@FAMILIES
@pytest.mark.parametrize("message", [SHORT, MASKED, LONG])
async def test_duplicate_sends_a_whole_message_twice(family: str, message: bytes, tmp_path: Path) -> None:
    async with between(family, tmp_path, Fault(kind="duplicate", way="up", at=3)) as (proxy, client):
        await client.say(HEAD[:10])
        assert await client.hear(10) == HEAD[:10]
        await client.say(HEAD[10:] + message[:1])
        assert await client.hear(len(HEAD) - 9) == HEAD[10:] + message[:1]
        await client.say(message[1:] + SHORT[:4])
        sent = message[1:] + message + SHORT[:4]
        assert await client.hear(len(sent)) == sent
        assert proxy.counts["duplicate"] == 1
        await client.say(SHORT[4:])
        assert await client.hear(1) == b"e"


@FAMILIES
async def test_delay_and_throttle_lose_nothing_and_take_their_time(family: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    faults = Fault(kind="delay", way="up", at=10, seconds=0.2), Fault(kind="throttle", way="down", at=10, rate=50_000)
    async with between(family, tmp_path, *faults) as (proxy, client):
        began = loop.time()
        await client.say(DATA)
        assert await client.hear(10) == DATA[:10]
        assert await client.hear(len(DATA) - 10) == DATA[10:]
        assert loop.time() - began >= 0.2 + (len(DATA) - 10) / 50_000 * 0.9
        assert proxy.counts == {"connections": 1, "delay": 1, "throttle": 1}


async def test_a_plan_may_come_later_and_a_target_may_change(tmp_path: Path) -> None:
    with echo("tcp", tmp_path) as one, echo("unix", tmp_path) as two, Proxy(one) as proxy:
        async with client_of(proxy) as client:
            await client.say(b"abc")
            assert await client.hear(3) == b"abc"
            proxy.target = two
            async with client_of(proxy) as other:
                await other.say(b"x")
                assert await other.hear(1) == b"x"
                proxy.arm(always(Fault(kind="finish", way="down", at=2)))
                await client.say(b"def")
                assert await client.hear_all() == b"de"
                proxy.arm(healthy)
                await other.say(b"yz")
                assert await other.hear(2) == b"yz"


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with Proxy(tmp_path / "nobody.sock") as proxy:
        async with client_of(proxy) as client:
            assert await client.hear_all() == b""
        assert proxy.counts == {"connections": 1, "refused": 1}
