"""A TCP proxy between an honest client and the server, which cuts their connections on request.

With it `AsyncEnv` itself meets a network that fails. The proxy speaks TLS to a TLS
server; its own side is plain and on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from openenv_async.conformance.server.raw_socket import Cut, Endpoint, cut

_READ_BYTES = 65536
_HOST = re.compile(rb"(?im)^host:[^\r\n]*")


class TcpProxy:
    """Forwards every connection to one server. Made by `tcp_proxy()`; its `url` replaces the server's."""

    def __init__(self, server_url: str) -> None:
        self.url = ""
        self._endpoint = Endpoint(server_url)
        self._path = urlsplit(server_url).path
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallow = False
        self._swallowed = asyncio.Event()
        self._passed = asyncio.Event()

    def listens(self, port: int) -> None:
        """Set the port that clients connect to."""
        self.url = f"http://127.0.0.1:{port}{self._path}"

    def swallow(self) -> None:
        """From now on nothing that the server sends reaches the client, until the next cut."""
        self._swallow = True
        self._swallowed.clear()
        self._passed.clear()

    async def answered(self, timeout_s: float) -> bool:
        """Wait until the server has sent something that was swallowed; False when it has not in time."""
        return await _in_time(self._swallowed, timeout_s)

    async def asked(self, timeout_s: float) -> bool:
        """Wait until the client's next bytes have been passed on to the server."""
        return await _in_time(self._passed, timeout_s)

    def cut(self, how: Cut) -> None:
        """Cut every connection, on both sides."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            cut(writer, how)
        self._swallow = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection to its end."""
        task = asyncio.current_task()
        assert task is not None  # asyncio's server makes one for each connection
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # Both ends are closed below: that is all that either side may notice.
            pass
        finally:
            self._tasks.discard(task)
            cut(writer, "FIN")

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there, back = await self._endpoint.connect()
        self._writers |= {writer, back}
        try:
            # Servers that share an address are told apart by this line.
            back.write(_HOST.sub(b"Host: " + self._endpoint.name.encode(), head, count=1))
            pumps = [
                asyncio.ensure_future(self._pump(reader, back, self._asked_for)),
                asyncio.ensure_future(self._pump(there, writer, self._said)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers -= {writer, back}
            cut(back, "FIN")

    def _asked_for(self) -> bool:
        self._passed.set()
        return True

    def _said(self) -> bool:
        if self._swallow:
            self._swallowed.set()
        return not self._swallow

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[], bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                if passes():
                    writer.write(data)
                    await writer.drain()

    async def aclose(self) -> None:
        """End every connection."""
        self.cut("RST")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def tcp_proxy(server_url: str) -> AsyncIterator[TcpProxy]:
    """Listen on a port of the loopback interface and forward to a server until the block ends."""
    proxy = TcpProxy(server_url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        proxy.listens(server.sockets[0].getsockname()[1])
        yield proxy
    finally:
        server.close()
        await proxy.aclose()


async def _in_time(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
