"""A TCP proxy that drops connections over which nothing went for a while, either way, as load balancers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class IdleProxy:
    """See `idle_proxy`."""

    def __init__(self, port: int, idle_s: float) -> None:
        self._port, self._idle_s = port, idle_s
        self.url = ""
        self.dropped = 0
        self.carried = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.carried += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        loop = asyncio.get_running_loop()
        newest = [loop.time()]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                newest[0] = loop.time()
                sink.write(data)
                await sink.drain()

        pumps = [asyncio.ensure_future(pump(reader, back)), asyncio.ensure_future(pump(there, writer))]
        try:
            while not any(one.done() for one in pumps):
                left_s = newest[0] + self._idle_s - loop.time()
                if left_s <= 0:
                    self.dropped += 1
                    break
                await asyncio.wait(pumps, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, back):
                end.close()
                end.transport.abort()
            for one in pumps:
                one.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


@contextlib.asynccontextmanager
async def idle_proxy(port: int, idle_s: float) -> AsyncIterator[IdleProxy]:
    """Stand before a port of this machine; drop what is idle for `idle_s` seconds."""
    proxy = IdleProxy(port, idle_s)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
