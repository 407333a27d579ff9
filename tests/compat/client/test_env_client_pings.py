"""How long OpenEnv's client waits for a server that says nothing at all, not even to a ping."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from support.servers import bounded

from openenv_async.compat.client.generic_client import GenericEnvClient

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PING = 0x89


class Mute:
    """Accepts a WebSocket, counts the pings that come, answers none, and says one thing when it is told to."""

    def __init__(self) -> None:
        self.pings = 0
        self.pinged = asyncio.Event()
        self.speak = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        key = next(line.partition(b": ")[2] for line in head if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        speaking = asyncio.ensure_future(self._speak(writer))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first, length = await reader.readexactly(2)
                await reader.readexactly((length & 0x7F) + 4)
                if first == PING:
                    self.pings += 1
                    if self.pings >= 3:
                        self.pinged.set()
        speaking.cancel()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        await self.speak.wait()
        answer = {"type": "observation", "data": {"observation": {}, "reward": None, "done": False}}
        text = json.dumps(answer).encode()
        writer.write(bytes([0x81, len(text)]) + text)


@contextlib.asynccontextmanager
async def serving_mutely() -> AsyncIterator[tuple[str, Mute]]:
    mute = Mute()
    serving: list[asyncio.Task[None]] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.ensure_future(mute(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", mute
        server.close()
        await bounded(asyncio.gather(*serving))


async def test_a_server_that_answers_no_ping_is_given_up() -> None:
    async with serving_mutely() as (url, _):
        env = GenericEnvClient(url, websocket_ping_interval_s=0.02, websocket_ping_timeout_s=0.05)
        with pytest.raises(ConnectionError):
            await bounded(env.reset())
        await env.close()


async def test_pings_without_a_limit_wait_for_ever() -> None:
    async with serving_mutely() as (url, mute):
        env = GenericEnvClient(url, websocket_ping_interval_s=0.02, websocket_ping_timeout_s=None)
        answer = asyncio.create_task(env.reset())
        await bounded(mute.pinged.wait())
        mute.speak.set()
        assert (await bounded(answer)).done is False
        assert env._ws is not None
        await env._ws.close()


async def test_no_pings_at_all() -> None:
    async with serving_mutely() as (url, mute):
        env = GenericEnvClient(url, websocket_ping_interval_s=None, message_timeout_s=0.3)
        with pytest.raises(TimeoutError):
            await env.reset()
        assert mute.pings == 0
        await env.close()
