"""Clients that send without measure or never read: their own connection stalls, memory and neighbours stay well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from flooded import BEARABLE_S, MIB, flooded
from requirements import requirement
from support.play_env import Execution, play_app
from support.raw_clients import RawNative, raw_native, raw_socket
from support.servers import Journal, bounded, serving

from openenv_async.limits import Limits
from openenv_async.protocol.frames import (
    SUBPROTOCOL,
    Chunk,
    Failure,
    Hello,
    Open,
    Opened,
    Reply,
    Reset,
    Step,
    encode_batch,
)

pytestmark = pytest.mark.slow

RESET = msgspec.Raw(msgspec.msgpack.encode({}))
ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
"""The server is another process with a loop of its own; the flood's is of no matter."""


def step(sid: int, rid: int, size: int = 0, padding: int = 0) -> Step:
    return Step(sid, rid, msgspec.Raw(msgspec.msgpack.encode({"size": size, "padding": bytes(padding)})))


@requirement("flood:never-reads")
@ONE_LOOP
async def test_a_client_that_never_reads_its_large_replies() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True, max_queue=1) as socket:
            await socket.send(encode_batch([Open(sid) for sid in range(1, 65)]))
            await socket.send(encode_batch([Reset(sid, 1, RESET) for sid in range(1, 65)]))
            # 64 sessions, 15 steps each of 1 MiB: 960 MiB that nobody takes.
            for rid in range(2, 17):
                await socket.send(encode_batch([step(sid, rid, MIB) for sid in range(1, 65)]))
            await server.quiet(steps=50)
            socket.transport.abort()
            await server.quiet()
        assert server.peak_mib < 200
        assert server.costliest_s < BEARABLE_S


@requirement("flood:requests")
@ONE_LOOP
async def test_10_000_requests_on_one_session() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True) as socket:
            client = RawNative(socket)
            await client.send(Open(1), Reset(1, 1, RESET))
            for start in range(2, 10_002, 500):
                await client.send(*[step(1, rid) for rid in range(start, start + 500)])
            answers = {Reply: 0, Failure: 0}
            while sum(answers.values()) < 10_001:
                frame = await client.hear()
                if type(frame) in answers:
                    answers[type(frame)] += 1
                if isinstance(frame, Failure):
                    assert frame.code == "USAGE", frame
            assert answers[Reply] >= 17
            await server.quiet()
        assert server.peak_mib < 50
        assert server.costliest_s < BEARABLE_S


@requirement("flood:requests")
@ONE_LOOP
async def test_10_000_requests_over_many_sessions() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True) as socket:
            client = RawNative(socket)
            await client.send(*[Open(sid) for sid in range(1, 626)])
            await client.send(*[Reset(sid, 1, RESET) for sid in range(1, 626)])
            for rid in range(2, 17):
                await client.send(*[step(sid, rid) for sid in range(1, 626)])
            last: dict[int, int] = {}
            while len(last) < 625 or min(last.values()) < 16:
                frame = await client.hear()
                assert isinstance(frame, (Hello, Opened, Reply)), frame
                if isinstance(frame, Reply):
                    assert frame.rid == last.get(frame.sid, 0) + 1
                    last[frame.sid] = frame.rid
            await server.quiet()
        assert server.peak_mib < 100
        assert server.costliest_s < BEARABLE_S


@requirement("flood:requests", "flood:never-reads")
@ONE_LOOP
async def test_large_requests_whose_replies_are_not_read_are_not_read_either() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True, max_queue=1) as socket:
            await socket.send(encode_batch([Open(sid) for sid in range(1, 33)]))
            await socket.send(encode_batch([Reset(sid, 1, RESET) for sid in range(1, 33)]))

            async def flood() -> None:
                for rid in range(2, 1000):
                    await socket.send(encode_batch([step(sid, rid, MIB, 200 * 1024) for sid in range(1, 33)]))

            sending = asyncio.create_task(flood())
            await server.quiet(steps=50)
            assert not sending.done()
            sending.cancel()
            socket.transport.abort()
        assert server.peak_mib < 200
        assert server.costliest_s < BEARABLE_S


@requirement("flood:requests")
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_large_requests_behind_a_busy_environment_are_refused_beyond_the_connections_budget(
    execution: Execution,
) -> None:
    journal = Journal()
    app = play_app(journal, execution, limits=Limits(max_connection_bytes=4 * MIB, max_message_bytes=MIB))
    async with serving(app) as served, raw_native(served.url) as client:
        await client.reset()
        await client.begin(op="wait")
        await journal.until("waiting")
        for _ in range(5):
            await client.begin(op="add", value="x" * 900 * 1024)
        refused = await client.hear()
        assert isinstance(refused, Failure)
        assert (refused.code, refused.details["limit"]) == ("PAYLOAD_TOO_LARGE", 4 * MIB)
        assert "max_connection_bytes" in refused.message
        journal.open_gate("step")
        assert [type(await client.hear()) for _ in range(5)] == [Reply] * 5
        # What has its answer counts no longer.
        for _ in range(6):
            assert not (await client.step(op="add", value="x" * 900 * 1024)).code


@requirement("flood:chunks")
@ONE_LOOP
async def test_chunks_that_are_never_finished() -> None:
    with flooded(max_connection_bytes=32 * MIB, max_message_bytes=8 * MIB) as server:
        async with server.watched(), raw_socket(server.url, native=True) as socket:
            client = RawNative(socket)
            assert isinstance(await client.hear(), Hello)
            piece = bytes(256 * 1024)
            for rid in range(1, 21):
                await client.send(*[Chunk(1, rid, seq, False, piece) for seq in range(20)])
            refusal = await client.hear()
            assert isinstance(refusal, Failure)
            assert (refusal.code, refusal.details["limit"]) == ("PAYLOAD_TOO_LARGE", 32 * MIB)
            assert "max_connection_bytes" in refusal.message
            await server.quiet()
        assert server.peak_mib < 100
        assert server.costliest_s < BEARABLE_S


@requirement("flood:sessions")
@ONE_LOOP
async def test_100_000_sessions_on_one_connection() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True) as socket:
            client = RawNative(socket)

            async def flood() -> None:
                for start in range(1, 100_001, 1000):
                    await client.send(*[Open(sid) for sid in range(start, start + 1000)])

            sending = asyncio.create_task(flood())
            codes: dict[str, int] = {}
            while sum(codes.values()) < 100_000 - 4096:
                frame = await client.hear()
                if isinstance(frame, Failure):
                    codes[frame.code] = codes.get(frame.code, 0) + 1
            await bounded(sending)
            assert set(codes) == {"CAPACITY_REACHED"}
            await server.quiet()
        assert server.peak_mib < 200
        assert server.costliest_s < BEARABLE_S


@requirement("flood:bad-frames")
@ONE_LOOP
async def test_a_flood_of_bad_frames_that_nobody_reads_the_errors_of() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=True, max_queue=1) as socket:
            bad = msgspec.msgpack.encode([[99, 1, 1, "x"]] * 4096)

            async def flood() -> None:
                for _ in range(200):
                    await socket.send(bad)

            sending = asyncio.create_task(flood())
            await server.quiet(steps=50)
            sending.cancel()
            socket.transport.abort()
        assert server.peak_mib < 100
        assert server.costliest_s < BEARABLE_S


@requirement("flood:requests", "flood:never-reads")
@ONE_LOOP
async def test_10_000_requests_on_the_json_wire_whose_replies_are_not_read() -> None:
    with flooded() as server:
        async with server.watched(), raw_socket(server.url, native=False, max_queue=1) as socket:
            await socket.send('{"type":"reset"}')

            async def flood() -> None:
                for _ in range(10_000):
                    await socket.send('{"type":"step","data":{"size":1000000}}')

            sending = asyncio.create_task(flood())
            await server.quiet(steps=50)
            # Each reply has 1.3 MB, and nobody takes them.
            sending.cancel()
            socket.transport.abort()
        assert server.peak_mib < 200
        assert server.costliest_s < BEARABLE_S


@requirement("flood:pings")
@ONE_LOOP
@pytest.mark.parametrize("native", [True, False], ids=["native", "json"])
async def test_a_client_that_pings_without_end_and_reads_no_pongs(native: bool) -> None:
    with flooded() as server:
        async with server.watched(), plain_socket(server.port, native) as writer:
            # A masked ping of 125 zeros, masked with zeros.
            ping = b"\x89\xfd" + bytes(129)

            async def flood() -> None:
                for _ in range(2000):
                    writer.write(ping * 500)
                    await writer.drain()

            # It is cut off.
            with pytest.raises((OSError, RuntimeError)):
                await bounded(flood())
            await server.quiet()
        assert server.peak_mib < 50
        assert server.costliest_s < BEARABLE_S


@contextlib.asynccontextmanager
async def plain_socket(port: int, native: bool) -> AsyncIterator[asyncio.StreamWriter]:
    """A WebSocket after its handshake, of which nothing more is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        protocol = f"sec-websocket-protocol: {SUBPROTOCOL}\r\n" if native else ""
        head = (
            "GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        )
        writer.write(f"{head}sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}\r\n".encode())
        assert b" 101 " in await bounded(reader.readline())
        yield writer
    finally:
        writer.transport.abort()
