"""Hypercorn's connections on sockets of ours.

Owns every connection from accept to close. Hypercorn speaks HTTP and WebSocket
on each (`TCPServer`); its own serving loop is not used because its end waits,
without a bound, for connections that a slow or silent peer keeps open (on
Python >= 3.12 `Server.wait_closed` waits for all of them). Here the end is
bounded: whoever has not left by then is cut off. `server.runner` drives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import socket
import sys
from collections.abc import Iterable
from typing import Any, cast

import h11
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import AppWrapper, ASGIFramework, LifespanState
from starlette.types import ASGIApp

from openenv_async.transport.taken import TAKE_OVER, TakenLink

logger = logging.getLogger("openenv_async.server")

_ABORT_TIMEOUT_S = 0.5
_READ_BYTES = 64 * 1024

_DEAD_AFTER_S = 60.0
"""Seconds in which a peer's system must acknowledge what it was sent; the default of Linux is a quarter of an hour."""


class WorkerConfig(Config):
    """Hypercorn's settings and ours."""

    silence_s: float = math.inf
    """Seconds without a byte from a WebSocket client, pongs included, after which it is taken for gone."""


class _Context(WorkerContext):
    """One connection's context: Hypercorn's, and a sleep between pings that ends with the connection.

    Hypercorn's own sleep keeps the connection's task, and with it the socket of a
    client that went away, until the next ping is due.
    """

    def __init__(self, worker: WorkerContext) -> None:
        super().__init__(None)
        self.terminated = worker.terminated
        self.gone = asyncio.Event()

    async def sleep(self, wait: float) -> None:  # type: ignore[override]  # static there, called on an instance
        if self.gone.is_set():
            await asyncio.sleep(wait)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self.gone.wait()


class _Http1(H11Protocol):
    """HTTP/1.1 without WebSocket compression.

    Most messages here are a few hundred bytes: compressing them costs both ends more time than their
    bytes do. Hypercorn has no setting for it, so the offer is not passed on.
    """

    async def _create_stream(self, request: h11.Request) -> None:
        headers = [(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"]
        if len(headers) != len(request.headers):
            request = h11.Request(
                method=request.method, target=request.target, headers=headers, http_version=request.http_version
            )
        await super()._create_stream(request)


class _Offering:
    """The app, with a WebSocket's own socket among what its scope offers."""

    def __init__(self, app: AppWrapper, connection: _Connection) -> None:
        self._app, self._connection = app, connection

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send, sync_spawn, call_soon)
            return
        scope["extensions"][TAKE_OVER] = functools.partial(self._connection.take_over, self._connection.chunks)
        code = 1011
        try:
            await self._app(scope, receive, send, sync_spawn, call_soon)
            code = 1000
        finally:
            await self._connection.let_go(code)


class _Connection(TCPServer):
    """One connection; tells its context when nothing more will be read."""

    config: WorkerConfig
    context: _Context
    chunks = 0
    """Pieces of input that Hypercorn has seen."""
    taken: TakenLink | None = None
    """The link that has its socket now."""

    @property
    def protocol(self) -> ProtocolWrapper:
        """What Hypercorn makes as the connection begins, with HTTP/1.1 of our kind in it."""
        return self._protocol

    @protocol.setter
    def protocol(self, made: ProtocolWrapper) -> None:
        if type(made.protocol) is H11Protocol:
            made.protocol = _Http1(
                _Offering(made.app, self),
                made.config,
                made.context,
                made.task_group,
                made.state,
                made.ssl,
                made.client,
                made.server,
                made.send,
            )
        self._protocol = made

    def take_over(self, chunks: int) -> TakenLink | None:
        """Give the socket of the WebSocket that was just accepted to a link; Hypercorn sees no more of it.

        Args:
            chunks: what `chunks` was as the handshake began; anything since is a message that waits elsewhere.
        """
        stream = getattr(self.protocol.protocol, "stream", None)
        if self.taken is not None or self.chunks != chunks or not isinstance(stream, WSStream):
            return None
        transport = cast("asyncio.Transport", self.writer.transport)
        link = TakenLink(stream.connection, self.config.websocket_max_message_size, transport.get_protocol())
        link.connection_made(transport)
        # Until what the reader has already buffered is through, see _read_data.
        transport.pause_reading()
        transport.set_protocol(link)
        if self.config.websocket_ping_interval is not None:
            link.keep_alive(self.config.websocket_ping_interval, self.config.silence_s)
        stream.closed = True  # for Hypercorn, which would send pings of its own
        self.taken = link
        self.reader.feed_eof()
        return link

    async def let_go(self, code: int) -> None:
        """The app is done with its WebSocket: close it, if the app has not."""
        if self.taken is not None:
            await self.taken.aclose(code)

    async def protocol_send(self, event: Event) -> None:
        """Send what HTTP or WebSocket has to say. That a client has gone is told to the app by who reads, not here.

        Hypercorn tells it from here, through a queue that the app empties: an app that waits for this very
        send to return before it reads on would wait for ever, and its environment with it.
        """
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            if self.writer.is_closing():
                return
            try:
                self.writer.write(event.data)
                await self.writer.drain()
            except (ConnectionError, RuntimeError):
                self.writer.transport.abort()

    async def _read_data(self) -> None:
        try:
            while (link := self.taken) is None and not self.reader.at_eof():
                try:
                    async with asyncio.timeout(self.config.read_timeout):
                        data = await self.reader.read(_READ_BYTES)
                except OSError:  # a TimeoutError is one
                    break
                await self._pass_on(data)
            if link is not None:
                await self._hand_over(link)
            await self.protocol.handle(Closed())
        finally:
            self.context.gone.set()

    async def _pass_on(self, data: bytes) -> None:
        if self.taken is None:
            self.chunks += 1
            await self.protocol.handle(RawData(data))
        elif data:
            self.taken.data_received(data)

    async def _hand_over(self, link: TakenLink) -> None:
        rest = await self.reader.read()
        if rest:
            link.data_received(rest)
        cast("asyncio.Transport", self.writer.transport).resume_reading()
        await link.gone


class Worker:
    """Accepts connections and gives each to Hypercorn; call `listen`, then `stop_listening`, then `close`.

    Args:
        app: the ASGI app.
        config: Hypercorn's settings; its binds are not used.
        state: the lifespan's state, copied into every scope.
    """

    def __init__(self, app: ASGIApp, config: WorkerConfig, state: dict[str, Any]) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._config = config
        self._state: LifespanState = state
        self._context = WorkerContext(None)
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on sockets that are bound and listening. They stay the caller's to close."""
        for sock in sockets:
            # A duplicate: the loop closes what it accepts on, the caller what it bound.
            mine = sock.dup()
            if hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX:
                # The socket file belongs to whoever bound it, which may be another process.
                extra: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
                server = await asyncio.start_unix_server(
                    self._connected, sock=mine, backlog=self._config.backlog, **extra
                )
            else:
                server = await asyncio.start_server(self._connected, sock=mine, backlog=self._config.backlog)
            self._servers.append(server)

    def stop_listening(self) -> None:
        """Accept no more connections; those that are open live on. Safe to repeat."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self, linger_s: float) -> None:
        """End every connection: idle ones at once, busy ones when they are done or `linger_s` has passed."""
        self.stop_listening()
        await self._context.terminated.set()  # Hypercorn: closes idle connections, keeps none alive
        await self._wait(linger_s)
        if self._connections:
            logger.warning("%d connections did not end within %g s; they are cut off", len(self._connections), linger_s)
            # abort, not close: close() waits until a peer that reads nothing has taken all that is buffered.
            for writer in self._connections.values():
                writer.transport.abort()
            await self._wait(_ABORT_TIMEOUT_S)
        for task in self._connections:
            task.cancel()
        await self._wait(_ABORT_TIMEOUT_S)

    async def _wait(self, timeout_s: float) -> None:
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=timeout_s)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections[task] = writer
        _notice_the_dead(writer)
        try:
            loop = asyncio.get_running_loop()
            await _Connection(self._app, loop, self._config, _Context(self._context), self._state, reader, writer)
        except asyncio.CancelledError:
            # Only close() cancels, and nobody awaits this task; asyncio would report it as an error.
            writer.transport.abort()
        except Exception:
            logger.exception("a connection ended with an error")
        finally:
            del self._connections[task]


def _notice_the_dead(writer: asyncio.StreamWriter) -> None:
    """Have the system end the connection of a peer that has died without a word: it no longer takes our pings."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = writer.get_extra_info("socket")
    if option is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, int(_DEAD_AFTER_S * 1000))
