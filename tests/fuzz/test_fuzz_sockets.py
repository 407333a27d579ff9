"""Bytes that are no HTTP, no WebSocket, or nearly: the server and whoever plays on it do not notice."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from conftest import TEST_ALL
from fuzz_inputs import BATCHES, broken
from fuzz_world import Witnesses, bugs, fuzzed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import requirement
from support.servers import bounded

from openenv_async.protocol.frames import SUBPROTOCOL

pytestmark = pytest.mark.slow

HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{}\r\n"
)
WIRES = [HANDSHAKE.format(f"sec-websocket-protocol: {SUBPROTOCOL}\r\n").encode(), HANDSHAKE.format("").encode()]
POST = b"POST /step HTTP/1.1\r\nhost: x\r\ncontent-length: 22\r\n\r\n" + b'{"action": {"op": "x"}}'
REQUESTS = st.sampled_from([*WIRES, POST])
FIRST_BYTES = [0x81, 0x82, 0x82, 0x82, 0x01, 0x02, 0x80, 0x00, 0x89, 0x8A, 0x88, 0xC2, 0x83, 0x08]
"""The end of a message or not, flags, opcode: right ones first."""


def frame(first: int, payload: bytes, masked: bool) -> bytes:
    """Give a WebSocket frame, whether or not there may be one like it."""
    size = len(payload).to_bytes() if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    head = bytes([first, size[0] | (0x80 if masked else 0)]) + size[1:]
    return head + (bytes(4) if masked else b"") + payload


FRAMES = st.lists(
    st.builds(frame, st.sampled_from(FIRST_BYTES), BATCHES | st.binary(max_size=130), st.booleans()), max_size=4
).map(b"".join)
BYTES = st.one_of(
    st.binary(max_size=200),
    broken(REQUESTS),
    st.builds(bytes.__add__, st.sampled_from(WIRES), FRAMES | broken(FRAMES) | st.binary(max_size=60)),
)


async def _say(url: str, witnesses: Witnesses, pieces: list[bytes], waits: bool) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await bounded(asyncio.open_connection(host, int(port)))
    with contextlib.suppress(OSError):
        for piece in pieces:
            writer.write(piece)
            await bounded(writer.drain())
            if waits:
                await witnesses.go_on()
        if waits:
            # It has answered, closed, or waits for more: in any case it must not mind that nobody listens.
            writer.write_eof()
            await bounded(reader.read())
    writer.close()
    with contextlib.suppress(OSError):
        await bounded(writer.wait_closed())
    await witnesses.go_on()


@requirement("faults:fuzz-sockets")
def test_no_bytes_on_a_socket_disturb_those_who_play(caplog: pytest.LogCaptureFixture) -> None:
    with fuzzed() as run:

        @given(pieces=st.lists(BYTES, min_size=1, max_size=3), waits=st.booleans())
        @settings(deadline=None, max_examples=400 if TEST_ALL else 80, suppress_health_check=list(HealthCheck))
        def example(pieces: list[bytes], waits: bool) -> None:
            run(lambda url, witnesses: bounded(_say(url, witnesses, pieces, waits)))

        example()
    assert bugs(caplog) == []
