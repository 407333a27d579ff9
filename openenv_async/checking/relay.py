"""A TCP relay between an honest client and the server, which cuts their connection on request.

So that `AsyncEnv` itself, with its reconnecting and its rules, meets a network that
fails. Towards a TLS server the relay speaks TLS; its own side is plain and on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from openenv_async.checking.sockets import Cut, Place, cut

_READ_BYTES = 65536
_HOST = re.compile(rb"(?im)^host:[^\r\n]*")


class Relay:
    """Relays every connection to one server. Make it with `relaying()`; its `url` takes the server's place."""

    def __init__(self, server_url: str) -> None:
        self.url = ""
        self.connections = 0
        """Connections made so far: more than one means that a client has come back."""

        self._place = Place(server_url)
        self._path = urlsplit(server_url).path
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swallow = False
        self._swallowed = asyncio.Event()
        self._passed = asyncio.Event()

    def listens(self, port: int) -> None:
        """Take the port as the one clients use."""
        self.url = f"http://127.0.0.1:{port}{self._path}"

    def swallow(self) -> None:
        """From now on nothing that the server says reaches the client, until the next cut."""
        self._swallow = True
        self._swallowed.clear()
        self._passed.clear()

    async def answered(self, timeout_s: float) -> bool:
        """Wait until the server has said something that was swallowed; False when it has not in time."""
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
        """Relay one connection to its end."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None  # asyncio's server makes one for each connection
        self._tasks.add(task)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # Its ends are closed below: that is all either side may notice.
            pass
        finally:
            self._tasks.discard(task)
            cut(writer, "FIN")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there, back = await self._place.connect()
        self._writers |= {writer, back}
        try:
            # Servers that share an address know each other by this line.
            back.write(_HOST.sub(b"Host: " + self._place.name.encode(), head, count=1))
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
async def relaying(server_url: str) -> AsyncIterator[Relay]:
    """Listen on a port of the loopback interface and relay to a server until the block ends."""
    relay = Relay(server_url)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        relay.listens(server.sockets[0].getsockname()[1])
        yield relay
    finally:
        server.close()
        await relay.aclose()


async def _in_time(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
