"""A server of OpenEnv's JSON that answers as a test says and not as it should."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.servers import bounded


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def request(self) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(await self._socket.recv())
        if request["type"] == "close":
            await self._socket.close()
            raise asyncio.CancelledError
        return request

    async def send(self, message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def send_raw(self, message: bytes | str) -> None:
        await self._socket.send(message)

    async def drop(self) -> None:
        self._socket.transport.abort()


def observation(**fields: Any) -> dict[str, Any]:
    return {"type": "observation", "data": {"observation": fields, "reward": None, "done": False}}


@contextlib.asynccontextmanager
async def json_server(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve; each connection is answered by the script."""

    async def handle(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed, asyncio.CancelledError):
            peer = Peer(socket)
            await script(peer)
            while True:
                await peer.request()

    server = await serve(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
    finally:
        server.close()
        await bounded(server.wait_closed())
