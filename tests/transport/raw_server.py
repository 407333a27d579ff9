"""A server on a socket that says exactly what a test tells it to, well-behaved or not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from support.servers import bounded

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextlib.asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """Serve on a free port of this machine; give the base URL. Connections end with the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await bounded(asyncio.wait(list(tasks)))


async def read_request(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read a request's head; give its first line as "" and its headers in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    return {"": head[0]} | headers


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: str = "") -> dict[str, str]:
    """Accept a WebSocket."""
    request = await read_request(reader)
    key = base64.b64encode(hashlib.sha1(request["sec-websocket-key"].encode() + GUID).digest()).decode()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Accept: {key}\r\n{more}\r\n".encode())
    await writer.drain()
    return request


def frame(opcode: int, data: bytes, final: bool = True) -> bytes:
    """Give a short WebSocket frame as a server sends it: unmasked."""
    assert len(data) < 126
    return bytes([opcode | (0x80 if final else 0), len(data)]) + data


async def silence(reader: asyncio.StreamReader) -> None:
    """Read and say nothing, until the client goes."""
    while await reader.read(65536):
        pass
