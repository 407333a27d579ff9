"""`serve`: starts, answers, and ends within its bounds, whoever is connected and however it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, aconnect_ws
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from support.programs.runner_apps import App, Core, StubbornCore

from openenv_async.limits import MIB, Limits
from openenv_async.server.lifespan import AppStartFailed
from openenv_async.server.runner import ServeOptions, serve
from openenv_async.server.sockets import BindFailed, Listeners

BOUND_S = 15


class Served:
    def __init__(self, url: str, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2]) if url.startswith("http") else 0
        self._stop = stop
        self._task = task

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait_for(asyncio.shield(self._task), BOUND_S)

    async def cancel(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(self._task, BOUND_S)
        assert self._task.cancelled()

    async def get(self, path: str = "/") -> str:
        transport = httpx.AsyncHTTPTransport(uds=self.url.removeprefix("unix:")) if not self.port else None
        async with httpx.AsyncClient(transport=transport, timeout=5) as client:
            return (await client.get((self.url if self.port else "http://local") + path)).text


@contextlib.asynccontextmanager
async def serving(
    app: App | Starlette, bind: str | Path | tuple[str, int] = ("127.0.0.1", 0), options: ServeOptions | None = None
) -> AsyncIterator[Served]:
    stop, urls = asyncio.Event(), asyncio.get_running_loop().create_future()
    options = options or ServeOptions(linger_s=0.2)
    task = asyncio.create_task(serve(app, bind=[bind], options=options, ready=urls.set_result, stop=stop))
    await asyncio.wait([task, urls], timeout=BOUND_S, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    served = Served((await urls)[0], stop, task)
    try:
        yield served
    finally:
        if not task.done():
            await served.stop()


async def test_serves_on_a_free_port_and_runs_the_lifespan_around_it() -> None:
    app = App()
    async with serving(app) as served:
        assert served.port > 0
        assert await served.get() == "hello"
        assert app.server.log == ["startup"]
        await served.stop()
    assert app.server.log == ["startup", "drain 0.2", "shutdown"]
    with socket.socket() as again:  # nothing holds the port any more
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", served.port))


async def test_cancelling_the_call_ends_it_as_cleanly() -> None:
    app = App()
    async with serving(app) as served:
        await served.cancel()
    assert app.server.log == ["startup", "drain 0.2", "shutdown"]


async def test_the_grace_of_the_options_wins_over_the_apps() -> None:
    app = App()
    async with serving(app, options=ServeOptions(grace_s=0.5)) as served:
        await served.stop()
    assert "drain 0.5" in app.server.log


async def test_no_server_header_and_no_access_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(App()) as served, httpx.AsyncClient() as client:
        with caplog.at_level(logging.INFO):
            reply = await client.get(served.url)
        assert "server" not in reply.headers
        assert not [r for r in caplog.records if r.name.startswith("hypercorn")]


async def test_drain_closes_the_websockets_before_the_connections_end() -> None:
    app = App()
    async with serving(app) as served:
        async with aconnect_ws(f"{served.url}/ws", session_class=AsyncWebSocketSession) as ws:
            await ws.send_bytes(b"12345")
            assert await ws.receive_text(timeout=5) == "5"
            stopping = asyncio.create_task(served.stop())
            with pytest.raises(WebSocketDisconnect) as closed:
                await ws.receive_text(timeout=5)
            assert closed.value.code == 1012
        await asyncio.wait_for(stopping, BOUND_S)


async def test_a_client_that_vanishes_frees_its_connection_before_the_next_ping() -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with serving(App(), options=ServeOptions(ping_interval_s=3600, linger_s=0.2)) as served:
        async with _sends(served.port, upgrade) as reader:
            assert b" 101 " in await asyncio.wait_for(reader.readline(), BOUND_S)
            connections = {task for task in asyncio.all_tasks() if "Worker._connected" in repr(task)}
            assert len(connections) == 1
        _, left = await asyncio.wait(connections, timeout=BOUND_S)
        assert not left


async def test_a_message_above_the_apps_limit_reaches_the_app() -> None:
    async with (
        serving(App(Core(Limits(max_message_bytes=1024)))) as served,
        aconnect_ws(f"{served.url}/ws", session_class=AsyncWebSocketSession, max_message_size_bytes=40 * MIB) as ws,
    ):
        await ws.send_bytes(bytes(2 * MIB))
        assert await ws.receive_text(timeout=5) == str(2 * MIB)


@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_stops_within_its_bound_though_drain_never_ends(caplog: pytest.LogCaptureFixture) -> None:
    app = App(StubbornCore(Limits(grace_s=0.1, close_timeout_s=0.0)))
    async with serving(app, options=ServeOptions(grace_s=0.0)) as served:
        await served.stop()
    assert app.server.log == ["startup", "drain", "shutdown"]
    assert "environments did not close within 6 s" in caplog.text


@contextlib.asynccontextmanager
async def _sends(port: int, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A client on a bare connection, with a receive buffer too small to hide that it reads nothing."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
    writer.write(data)
    await writer.drain()
    try:
        yield reader
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET / HT", b"GET /hang HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123"],
    ids=["silent", "half a request line", "half a body"],
)
async def test_an_open_connection_does_not_keep_the_server(request_bytes: bytes) -> None:
    # On Python >= 3.12 Server.wait_closed() waits for these as long as they like.
    app = App()
    async with serving(app) as served, _sends(served.port, request_bytes):
        if b"/hang" in request_bytes:
            await asyncio.wait_for(app.in_hang.wait(), BOUND_S)
        await served.stop()
    assert app.server.log[-1] == "shutdown"


async def test_a_peer_that_reads_nothing_does_not_keep_the_server() -> None:
    app = App()
    async with serving(app) as served, _sends(served.port, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n") as reader:
        assert await asyncio.wait_for(reader.readline(), BOUND_S) == b"HTTP/1.1 200 \r\n"
        await served.stop()
    assert app.server.log[-1] == "shutdown"


async def test_with_handover_nobody_is_accepted_while_calls_end() -> None:
    class Slow(Core):
        draining = asyncio.Event()
        go_on = asyncio.Event()

        async def drain(self, grace_s: float) -> None:
            self.draining.set()
            await self.go_on.wait()

    core = Slow()
    core.draining, core.go_on = asyncio.Event(), asyncio.Event()
    with Listeners.bind(("127.0.0.1", 0)) as ours:
        # As after a fork: the same socket, held by two.
        theirs = Listeners.from_fds([s.dup().detach() for s in ours.sockets], ours.urls)
        stop, ready = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            serve(
                App(core),
                bind=theirs,
                stop=stop,
                options=ServeOptions(handover=True),
                ready=lambda _: ready.set(),
            )
        )
        await asyncio.wait_for(ready.wait(), BOUND_S)
        stop.set()
        await asyncio.wait_for(core.draining.wait(), BOUND_S)
        async with httpx.AsyncClient(timeout=BOUND_S) as client:
            waiting = asyncio.create_task(client.get(ours.urls[0]))
            core.go_on.set()
            await asyncio.wait_for(task, BOUND_S)
            assert not waiting.done()  # neither refused nor dropped: it is in the queue for the next server
            stop2 = asyncio.Event()
            next_one = asyncio.create_task(serve(App(), bind=ours, stop=stop2))
            assert (await waiting).text == "hello"
            stop2.set()
            await asyncio.wait_for(next_one, BOUND_S)


async def test_a_startup_that_raises_is_told_with_its_cause() -> None:
    @contextlib.asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        app.state.model.load()
        yield

    with pytest.raises(AppStartFailed, match="AttributeError: .* no attribute 'model'") as failed:
        async with serving(Starlette(lifespan=broken)):
            raise AssertionError("it must not start")
    assert isinstance(failed.value.__cause__, AttributeError)


async def test_an_app_without_lifespan_is_served() -> None:
    async def bare(scope: Scope, _receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bare"})

    stop, urls = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(bare, bind=[("127.0.0.1", 0)], ready=urls.set_result, stop=stop))
    async with httpx.AsyncClient() as client:
        assert (await client.get((await asyncio.wait_for(urls, BOUND_S))[0])).text == "bare"
    stop.set()
    await asyncio.wait_for(task, BOUND_S)


async def test_a_shutdown_that_raises_is_logged_and_the_server_ends(caplog: pytest.LogCaptureFixture) -> None:
    @contextlib.asynccontextmanager
    async def broken(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise LookupError("lost the key")

    async with serving(Starlette(lifespan=broken)) as served:
        await served.stop()
    assert "lost the key" in caplog.text


async def test_serves_on_a_unix_socket_and_removes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "env.sock"
    async with serving(App(), f"unix:{path}") as served:
        assert served.url == f"unix:{path}"
        assert await served.get() == "hello"
        await served.stop()
    assert not path.exists()


async def test_a_taken_port_starts_nothing() -> None:
    app = App()
    with Listeners.bind(("127.0.0.1", 0)) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(BindFailed, match=f"127.0.0.1:{port} is taken"):
            await serve(app, bind=[("127.0.0.1", port)])
    assert app.server.log == []
