"""Two connected links, the client's and the server's, of every kind that the package has."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from support.certificates import certificates
from support.servers import bounded, serving

from openenv_async.server.runner import ServeOptions
from openenv_async.server.tls import server_context
from openenv_async.transport.address import Address
from openenv_async.transport.in_process import memory_links, open_inprocess
from openenv_async.transport.link import Link
from openenv_async.transport.proxy_client import open_proxy_link
from openenv_async.transport.ws_client import open_ws_link
from openenv_async.transport.ws_protocol import WebSocketLink
from openenv_async.transport.ws_server import Receive, Send, accept_link

Pair = tuple[Link, Link]
Subprotocols = tuple[str, ...]


class Acceptor:
    """An ASGI app that accepts WebSockets on `/ws` and hands their links to the test."""

    def __init__(self, chooses: str | None, takes_over: bool = True) -> None:
        self._chooses, self._takes_over = chooses, takes_over
        self._links: asyncio.Queue[Link] = asyncio.Queue()
        self._over = asyncio.Event()
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "lifespan":
            return
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["path"] != "/ws":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def watched() -> Any:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                self._over.set()
            return event

        async def watching(event: Any) -> None:
            await send(event)
            if event["type"] == "websocket.close":
                self._over.set()

        extensions = scope.get("extensions") if self._takes_over else None
        link = await accept_link(watched, watching, self._chooses, extensions)
        if isinstance(link, WebSocketLink):
            link.gone.add_done_callback(lambda _: self._over.set())
        self._links.put_nowait(link)
        # An app that returns closes its WebSocket; one that does not keeps its client waiting for the end.
        await self._over.wait()

    async def next_link(self) -> Link:
        return await bounded(self._links.get())

    def end(self) -> None:
        self._over.set()


Opener = Callable[[Address], Any]
OPENERS: dict[str, Opener] = {"direct": open_ws_link, "httpx-ws": open_proxy_link}


@contextlib.asynccontextmanager
async def uvicorn_serving(app: Any, ws: Any = "auto") -> AsyncIterator[str]:
    """Serve on a free port of this machine; give the base URL."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

        async def main_loop(self) -> None:
            # Its own looks ten times a second whether to stop; a test would wait for that.
            await stop.wait()

    started, stop = asyncio.Event(), asyncio.Event()
    config = uvicorn.Config(
        app, ws=ws, lifespan="off", log_config=None, ws_max_size=64 << 20, timeout_graceful_shutdown=1
    )
    server = Server(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        # Not serve(), which takes over the signals of the process.
        task = asyncio.create_task(server._serve([sock]))
        try:
            await bounded(started.wait())
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            stop.set()
            await bounded(task)


@contextlib.asynccontextmanager
async def memory(chosen: str | None, offered: Subprotocols, folder: Path) -> AsyncIterator[Pair]:
    one, two = memory_links(chosen)
    yield one, two


@contextlib.asynccontextmanager
async def in_process(chosen: str | None, offered: Subprotocols, folder: Path) -> AsyncIterator[Pair]:
    acceptor = Acceptor(chosen)
    client = await open_inprocess(acceptor, "/ws", {"x-test": "1"}, offered)
    try:
        yield client, await acceptor.next_link()
    finally:
        acceptor.end()
        await client.aclose()


def over(server: str, opener: str) -> Callable[[str | None, Subprotocols, Path], Any]:
    """Make the pairs of one server and one client link."""

    @contextlib.asynccontextmanager
    async def pair(chosen: str | None, offered: Subprotocols, folder: Path) -> AsyncIterator[Pair]:
        acceptor = Acceptor(chosen, takes_over=server != "hypercorn-asgi")
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(acceptor.end)
            unix: str | None = None
            ca_file: str | None = None
            if server == "hypercorn-tls":
                files = certificates(folder)
                options = ServeOptions(grace_s=0.5, linger_s=0.5, tls=server_context(files.certfile, files.keyfile))
                url = (await stack.enter_async_context(serving(acceptor, options=options))).url
                ca_file = str(files.ca_file)
            elif server in ("hypercorn", "hypercorn-asgi"):
                url = (await stack.enter_async_context(serving(acceptor))).url
            elif server == "hypercorn-unix":
                await stack.enter_async_context(serving(acceptor, folder / "s"))
                url, unix = "http://localhost", str(folder / "s")
            else:
                url = await stack.enter_async_context(uvicorn_serving(acceptor, server.partition("-")[2] or "auto"))
            headers = {"x-test": "1"}
            address = Address(url=f"{url}/ws", unix_path=unix, headers=headers, subprotocols=offered, ca_file=ca_file)
            client = await bounded(OPENERS[opener](address))
            stack.push_async_callback(client.aclose)
            stack.callback(acceptor.end)
            yield client, await acceptor.next_link()

    return pair


KINDS: dict[str, Callable[[str | None, Subprotocols, Path], Any]] = {
    "memory": memory,
    "in-process": in_process,
    "hypercorn direct": over("hypercorn", "direct"),
    "hypercorn tls direct": over("hypercorn-tls", "direct"),
    "hypercorn httpx-ws": over("hypercorn", "httpx-ws"),
    "hypercorn tls httpx-ws": over("hypercorn-tls", "httpx-ws"),
    "hypercorn asgi direct": over("hypercorn-asgi", "direct"),
    "hypercorn unix direct": over("hypercorn-unix", "direct"),
    "uvicorn direct": over("uvicorn", "direct"),
    "uvicorn wsproto direct": over("uvicorn-wsproto", "direct"),
}
