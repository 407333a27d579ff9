"""Clients that go: what the server holds for them goes too, at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import psutil
import pytest
from support.play_env import play_app
from support.servers import Journal, Served, bounded, serving

GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


async def _gone(served: Served) -> None:
    """Return when the server holds no connection."""
    me = psutil.Process()
    for _ in range(500):
        held = [c for c in me.net_connections("tcp") if c.laddr and c.laddr.port == served.port and c.raddr]
        if not held:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(held)


@pytest.mark.parametrize("request_bytes", [b"", GET[:20], GET], ids=["silent", "half a request", "answered"])
async def test_a_client_that_closes_frees_its_connection_before_the_keep_alive_is_over(request_bytes: bytes) -> None:
    async with serving(play_app(Journal())) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes)
        if request_bytes == GET:
            assert (await bounded(reader.readline())).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        await _gone(served)


async def test_a_client_that_does_not_wait_for_the_handshake_is_refused_and_let_go() -> None:
    async with serving(play_app(Journal())) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + b"\x82\x81\0\0\0\0x"
        )
        assert (await bounded(reader.read())).startswith(b"HTTP/1.1 400")
        writer.close()
        await _gone(served)


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(play_app(Journal())) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"POST /step HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await _gone(served)
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_client_that_is_accepted_just_as_the_server_stops_is_not_left_waiting() -> None:
    """asyncio fails to make a transport for it once the listening socket is closed, and forgets its socket."""
    for turns in range(16):
        async with serving(play_app(Journal())) as served:
            stopping = asyncio.create_task(served.stop())
            for _ in range(turns):
                await asyncio.sleep(0)
            with contextlib.suppress(ConnectionError):
                client = socket.create_connection(("127.0.0.1", served.port))
                client.setblocking(False)
                reader, writer = await asyncio.open_connection(sock=client)
                with contextlib.suppress(ConnectionError):
                    assert await bounded(reader.read(), 5) == b""
                writer.close()
            await stopping
