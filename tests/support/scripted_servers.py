"""Servers that do as a test says and not as they should."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from openenv_async.codec import encode_any_msgpack
from openenv_async.protocol.batching import SERVER_SIDE
from openenv_async.protocol.frames import (
    SUBPROTOCOL,
    VERSION,
    AnyFrame,
    Close,
    Closed,
    GetState,
    Hello,
    Open,
    Opened,
    Reply,
    Reset,
    Step,
    encode_batch,
)
from support.servers import bounded


class NativePeer:
    """The server's end of one connection; opens sessions by itself, hands requests to the script."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.requests: asyncio.Queue[Reset | Step | GetState] = asyncio.Queue()

    async def request(self) -> Reset | Step | GetState:
        return await bounded(self.requests.get())

    async def send(self, *frames: AnyFrame) -> None:
        await self._socket.send(encode_batch(list(frames)))

    async def send_raw(self, message: bytes | str) -> None:
        await self._socket.send(message)

    async def close(self) -> None:
        await self._socket.close()

    async def drop(self) -> None:
        self._socket.transport.abort()

    async def run(self) -> None:
        await self.send(Hello(VERSION, "scripted", {"of": "tomorrow"}, ["telepathy"]))
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                assert isinstance(message, bytes)
                for frame in SERVER_SIDE.decode(message):
                    if isinstance(frame, Open):
                        await self.send(Opened(frame.sid, f"scripted {frame.sid}"))
                    elif isinstance(frame, Close):
                        await self.send(Closed(frame.sid))
                    elif isinstance(frame, (Reset, Step, GetState)):
                        self.requests.put_nowait(frame)


class JsonPeer:
    """The same for OpenEnv's JSON."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def request(self) -> dict[str, Any]:
        return await bounded(self.requests.get())

    async def send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    async def send_raw(self, message: bytes | str) -> None:
        await self._socket.send(message)

    async def close(self) -> None:
        await self._socket.close()

    async def drop(self) -> None:
        self._socket.transport.abort()

    async def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                request = json.loads(message)
                if request["type"] == "close":
                    return
                self.requests.put_nowait(request)


def reply(request: Reset | Step | GetState, **fields: Any) -> Reply:
    return Reply(request.sid, request.rid, msgspec.Raw(encode_any_msgpack(fields)))


def observation(**fields: Any) -> dict[str, Any]:
    return {"type": "observation", "data": {"observation": fields, "reward": None, "done": False}}


@contextlib.asynccontextmanager
async def native_server(script: Callable[[NativePeer], Awaitable[None]]) -> AsyncIterator[str]:
    """A server of the native wire whose first connection's requests the script answers."""

    async def handle(socket: ServerConnection) -> None:
        peer = NativePeer(socket)
        await _both(peer.run(), script(peer))

    async with _serving(handle, [Subprotocol(SUBPROTOCOL)]) as url:
        yield url


@contextlib.asynccontextmanager
async def json_server(script: Callable[[JsonPeer], Awaitable[None]]) -> AsyncIterator[str]:
    async def handle(socket: ServerConnection) -> None:
        peer = JsonPeer(socket)
        await _both(peer.run(), script(peer))

    async with _serving(handle, None) as url:
        yield url


async def _both(run: Any, script: Any) -> None:
    playing = asyncio.ensure_future(script)
    try:
        await run
    finally:
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
            await playing


@contextlib.asynccontextmanager
async def _serving(
    handle: Callable[[ServerConnection], Awaitable[None]], subprotocols: list[Subprotocol] | None
) -> AsyncIterator[str]:
    async with serve(handle, "127.0.0.1", 0, subprotocols=subprotocols, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"
