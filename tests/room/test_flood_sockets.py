"""Sockets that hold on to the server: slow handshakes, too many connections, slow and large bodies, hasty sessions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.play_env import play_app
from support.raw_clients import RawNative, raw_native, raw_socket
from support.servers import Journal, Served, bounded, serving

from openenv_async import AsyncEnv
from openenv_async.errors import CapacityError, ConnectFailed
from openenv_async.limits import MIB, Limits
from openenv_async.protocol.frames import Close, Closed, Failure, Hello, Open, Opened
from openenv_async.server.app import EnvApp
from openenv_async.server.rate_limits import SessionRate
from openenv_async.server.runner import ServeOptions


def app(**limits: Any) -> EnvApp:
    return play_app(Journal(), limits=Limits(**limits))


@contextlib.asynccontextmanager
async def plain(served: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> float:
    """Send one byte after the other until the server ends it, before all was sent; gives the seconds that it took."""
    began = time.perf_counter()
    ended = asyncio.create_task(reader.read())
    for at in range(len(text)):
        if ended.done():
            break
        writer.write(text[at : at + 1])
        await asyncio.wait([ended], timeout=0.02)
    else:
        assert not text, "the server took all of it"
    with contextlib.suppress(ConnectionError):
        await bounded(ended)
    return time.perf_counter() - began


@requirement("flood:handshakes")
@pytest.mark.parametrize("head", ["nothing at all", "plain", "websocket"])
async def test_a_slow_handshake_is_cut_off(head: str) -> None:
    upgrade = "upgrade: websocket\r\nconnection: upgrade\r\n" if head == "websocket" else ""
    text = (
        b"" if head == "nothing at all" else f"GET /ws HTTP/1.1\r\nhost: x\r\n{upgrade}".encode() + b"x-a: b\r\n" * 99
    )
    async with serving(app(handshake_timeout_s=0.3)) as served, plain(served) as (reader, writer):
        assert await bounded(dribble(reader, writer, text)) > 0.2


@requirement("flood:handshakes")
async def test_a_slow_second_request_is_cut_off_when_the_connection_may_be_idle_no_longer() -> None:
    options = ServeOptions(keep_alive_s=0.3, grace_s=0.5, linger_s=0.5)
    async with serving(app(), options=options) as served, plain(served) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in await bounded(reader.readuntil(b"healthy"))
        await bounded(reader.readuntil(b"}"))
        assert await bounded(dribble(reader, writer, b"GET /health HTTP/1.1\r\n" + b"x-a: b\r\n" * 99)) > 0.2


@requirement("flood:handshakes")
async def test_connections_that_are_in_use_are_not_cut_off() -> None:
    async with serving(app(handshake_timeout_s=0.1)) as served, raw_native(served.url) as client:
        async with httpx.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/health")).status_code == 200
            await asyncio.sleep(0.3)
            assert (await http.get("/health")).status_code == 200
        assert (await client.reset()).total == 0


@requirement("flood:handshakes")
async def test_a_head_without_an_end_is_refused() -> None:
    async with serving(app()) as served, plain(served) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 100_000)
        with contextlib.suppress(ConnectionError):
            assert b" 431 " in (await bounded(reader.read()))[:40]


@requirement("flood:connections")
async def test_one_connection_too_many_is_told_so_and_the_others_play_on() -> None:
    full = app(max_connections=2)
    async with serving(full) as served, raw_native(served.url) as first, raw_native(served.url) as second:
        with pytest.raises(ConnectFailed, match="503") as caught:
            await bounded(AsyncEnv.connect(served.url))
        assert caught.value.retryable
        async with httpx.AsyncClient(base_url=served.url) as http:
            answer = await bounded(http.get("/health"))
            assert (answer.status_code, answer.json()["code"]) == (503, "CAPACITY_REACHED")
        assert (await first.reset()).total == (await second.reset()).total == 0
        await second.socket.close()
        async with AsyncEnv(base_url=served.url) as env:
            assert (await env.reset()).observation["total"] == 0


@requirement("flood:connections")
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_thousand_connections_too_many_leave_the_others_alone() -> None:
    full = app(max_connections=1)
    async with serving(full) as served, raw_native(served.url) as first, contextlib.AsyncExitStack() as stack:
        await first.reset()
        sockets = [await stack.enter_async_context(plain(served)) for _ in range(1000)]
        for number in range(1, 20):
            assert (await bounded(first.step(n=1))).total == number
        for reader, _ in sockets:
            # Told, or cut off; open no longer.
            with contextlib.suppress(ConnectionError):
                assert (await bounded(reader.read()))[:12] in (b"", b"HTTP/1.1 503")


@requirement("flood:bodies")
@pytest.mark.parametrize("told", [True, False], ids=["content-length", "chunked"])
async def test_a_large_body_is_refused_before_all_of_it_is_read(told: bool) -> None:
    async with serving(app(max_message_bytes=MIB)) as served, plain(served) as (reader, writer):
        length = b"content-length: 1000000000" if told else b"transfer-encoding: chunked"
        writer.write(b"POST /reset HTTP/1.1\r\nhost: x\r\n" + length + b"\r\n\r\n")
        if not told:
            piece = b"10000\r\n" + bytes(65536) + b"\r\n"
            for _ in range(20):
                writer.write(piece)
        answer = await bounded(reader.readuntil(b"}"))
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"1,048,576 bytes (max_message_bytes)" in answer


@requirement("flood:bodies")
async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    slow = app(body_timeout_s=0.3)
    async with serving(slow) as served, plain(served) as (reader, writer):
        writer.write(b"POST /reset HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = await bounded(reader.read())
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"body_timeout_s" in answer
        assert slow.server.registry.active == 0


@requirement("flood:bodies")
async def test_bodies_that_arrive_together_share_a_bound() -> None:
    narrow = app(max_message_bytes=MIB, max_connection_bytes=MIB + MIB // 2)
    body = b"{}" + b" " * (MIB - 2)
    head = b"POST /reset HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with serving(narrow) as served, plain(served) as one, plain(served) as other:
        answers = {}
        for reader, writer in (one, other):
            writer.write(head + body[:-1])
            answers[asyncio.create_task(reader.readuntil(b"}"))] = writer
        (refused,), (waits,) = await asyncio.wait(answers, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result().startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused.result() and b"1,572,864 bytes (max_connection_bytes)" in refused.result()
        answers[waits].write(body[-1:])
        assert (await bounded(waits)).startswith(b"HTTP/1.1 200")
        async with httpx.AsyncClient(base_url=served.url) as http:
            for _ in range(3):
                assert (await bounded(http.post("/reset", content=body))).status_code == 200


@requirement("flood:session-rate")
async def test_sessions_that_are_opened_too_fast_are_refused_with_when_to_try_again() -> None:
    hasty = app(max_sessions_per_connection=3, max_new_sessions_per_s=5.0)
    async with serving(hasty) as served, raw_socket(served.url, native=True) as socket:
        client = RawNative(socket)
        assert isinstance(await client.hear(), Hello)
        for sid in range(1, 4):
            await client.send(Open(sid))
            assert isinstance(await client.hear(), Opened)
            await client.send(Close(sid))
            assert isinstance(await client.hear(), Closed)
        await client.send(Open(4))
        refused = await client.hear()
        assert isinstance(refused, Failure)
        assert refused.code == CapacityError.code
        assert "max_new_sessions_per_s" in refused.message
        assert 0 < refused.details["retry_after_s"] <= 0.2
        await asyncio.sleep(refused.details["retry_after_s"])
        await client.send(Open(5))
        assert isinstance(await client.hear(), Opened)


@requirement("flood:session-rate")
def test_who_waits_as_long_as_was_said_is_let_in_though_a_timer_fires_early(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rate = SessionRate(per_s=3.0, burst=1)
    opened = 0
    for _ in range(300):
        refused = rate.refuse()
        opened += refused is None
        # Loops count in milliseconds, and round.
        now += 0.0 if refused is None else refused.details["retry_after_s"] - 0.001
        assert refused is None or rate.refuse() is None
        opened += refused is not None
    assert opened <= 1 + 3 * (now - 1000.0 + 0.002) + 1e-6
