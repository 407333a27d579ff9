"""A TCP forwarder between a client and a server, which drops, holds and refuses connections as a test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from support.servers import bounded


class Forwarder:
    """Forwards to one port of this machine. Use `forwarding()`."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.url = ""
        self.connections = 0
        """Made so far."""
        self.refused = 0
        """Connections that were dropped as they came, because `refusing` was set."""
        self.refusing = False
        self._writers: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._left: dict[str, int | None] = {"up": None, "down": None}
        self._open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._changed = asyncio.Condition()
        self.passed = {"up": 0, "down": 0}
        """Bytes from the client and from the server, so far."""
        self.release()

    def cut(self) -> None:
        """Reset every connection, both ways."""
        self.leave()
        for _, writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def leave(self) -> None:
        """Reset the clients' sockets only; with `hold` before it, the server does not notice."""
        for writer, _ in self._writers:
            writer.transport.abort()

    def say_goodbye(self, code: int) -> None:
        """Close every client's WebSocket in good order, as a balancer that leaves does; reset the server's socket."""
        for writer, server in self._writers:
            writer.write(b"\x88\x02" + code.to_bytes(2))
            server.transport.abort()
        self._writers.clear()

    def cut_after(self, way: str, size: int) -> None:
        """Let so many more bytes pass `up` (to the server) or `down`, then cut everything."""
        self._left[way] = size

    def hold(self, *ways: str) -> None:
        """Let nothing pass, and keep every socket open: half-open connections. Both ways unless named."""
        for way in ways or self._open:
            self._open[way].clear()

    def release(self) -> None:
        """Let pass what is held."""
        for gate in self._open.values():
            gate.set()

    def forget(self) -> None:
        """Leave the connections there are as they are, held for ever if they are; new ones pass."""
        self._open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.release()

    async def until(self, *, connections: int = 0, refused: int = 0) -> None:
        """Return when so many connections have been made or refused."""
        async with self._changed:
            await bounded(self._changed.wait_for(lambda: self.connections >= connections and self.refused >= refused))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.refused += 1
            writer.transport.abort()
            async with self._changed:
                self._changed.notify_all()
        else:
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append((writer, server_writer))
        self.connections += 1
        async with self._changed:
            self._changed.notify_all()
        await asyncio.gather(
            self._pass(reader, server_writer, "up", self._open["up"]),
            self._pass(server_reader, writer, "down", self._open["down"]),
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, gate: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                await gate.wait()
                left = self._left[way]
                if left is not None:
                    data = data[:left]
                    self._left[way] = left - len(data)
                self.passed[way] += len(data)
                writer.write(data)
                await writer.drain()
                if self._left[way] == 0:
                    self._left[way] = None
                    # What was let through has to arrive, so no reset on this side.
                    writer.close()
                    self.cut_but(writer)
                    return
        await gate.wait()
        writer.close()

    def cut_but(self, spared: asyncio.StreamWriter) -> None:
        """Reset every connection, but end this one in good order."""
        for pair in self._writers:
            for writer in pair:
                if writer is not spared:
                    writer.transport.abort()
        self._writers.clear()


@contextlib.asynccontextmanager
async def forwarding(port: int) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(port)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(forwarder.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    forwarder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield forwarder
    finally:
        server.close()
        forwarder.cut()
        forwarder.release()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
