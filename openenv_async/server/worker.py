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
import logging
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import h11
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ASGIFramework, LifespanState
from starlette.types import ASGIApp

logger = logging.getLogger("openenv_async.server")

_ABORT_TIMEOUT_S = 0.5

_TLS_GOODBYE_S = 2.0
"""Seconds that a client has to say goodbye as TLS wants it."""

_LISTEN_AGAIN_S = 0.5
"""Seconds in which one connection too many may say what it wants, so that it gets to read why it is refused."""

_REFUSED_AT_ONCE = 256
"""Connections too many that are told so; those beyond are cut off without a word."""

_FULL = b'{"detail":"the server has as many connections as it takes (max_connections)","code":"CAPACITY_REACHED"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


class _Context(WorkerContext):
    """One connection's context: Hypercorn's, and a sleep between pings that ends with the connection.

    Hypercorn's own sleep keeps the connection's task, and with it the socket of a
    client that went away, until the next ping is due.
    """

    def __init__(self, worker: WorkerContext) -> None:
        super().__init__(None)
        self.terminated = worker.terminated
        self.gone = asyncio.Event()
        self.on_request: Callable[[], None] | None = None
        """Called when the head of a request has arrived."""

    async def mark_request(self) -> None:
        if self.on_request is not None:
            self.on_request()
        await super().mark_request()

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
        stream = self.stream
        if stream is not None and stream.app_put is not None:
            stream.app_put = _goodbye_passes(stream.app_put)


def _empty(queue: asyncio.Queue[Any]) -> None:
    while not queue.empty():
        queue.get_nowait()


def _goodbye_passes(put: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Let the news that a client has gone reach an app that does not read it at the moment.

    Hypercorn would wait for a place in the app's queue: for ever, when the app has answered without reading
    all of a body, or has stopped reading until its replies have left and so waits for that very client.
    """
    queue: asyncio.Queue[Any] = put.__self__  # type: ignore[attr-defined]  # Hypercorn gives the queue's own method

    gone = False

    async def put_or_make_room(event: Any) -> None:
        nonlocal gone
        if event["type"] in ("websocket.disconnect", "http.disconnect"):
            gone = True
            # All of them: what was sent before must not be lost alone, with later requests done.
            while queue.full():
                _empty(queue)
        elif gone:
            return
        await put(event)

    return put_or_make_room


class _Connection(TCPServer):
    """One connection; tells its context when nothing more will be read."""

    context: _Context

    @property
    def protocol(self) -> ProtocolWrapper:
        """What Hypercorn makes as the connection begins, with HTTP/1.1 of our kind in it."""
        return self._protocol

    @protocol.setter
    def protocol(self, made: ProtocolWrapper) -> None:
        if type(made.protocol) is H11Protocol:
            made.protocol = _Http1(
                made.app,
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

    async def _read_data(self) -> None:
        try:
            await super()._read_data()
        finally:
            self.context.gone.set()


class Worker:
    """Accepts connections and gives each to Hypercorn; call `listen`, then `stop_listening`, then `close`.

    Args:
        app: the ASGI app.
        config: Hypercorn's settings; its binds are not used.
        state: the lifespan's state, copied into every scope.
        max_connections: how many may be open; one more is answered HTTP 503.
        handshake_timeout_s: seconds that a connection has until the head of its first request is there. For
            later ones Hypercorn's `keep_alive_timeout` is the bound: it ends when a head is complete.
        tls: the certificate and key, where connections are encrypted; not for unix sockets.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: Config,
        state: dict[str, Any],
        *,
        max_connections: int = sys.maxsize,
        handshake_timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls: dict[str, Any] = {}
        if tls is not None:
            self._tls = {
                "ssl": tls,
                "ssl_handshake_timeout": handshake_timeout_s,
                "ssl_shutdown_timeout": _TLS_GOODBYE_S,
            }
        self._max_connections = max_connections
        self._handshake_timeout_s = handshake_timeout_s
        self._refusing = 0
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
                server = await asyncio.start_server(
                    self._connected, sock=mine, backlog=self._config.backlog, **self._tls
                )
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
        if len(self._connections) >= self._max_connections:
            await self._refuse(reader, writer)
            return
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections[task] = writer
        loop = asyncio.get_running_loop()
        context = _Context(self._context)
        too_slow = loop.call_later(self._handshake_timeout_s, writer.transport.abort)
        context.on_request = too_slow.cancel
        try:
            await _Connection(self._app, loop, self._config, context, self._state, reader, writer)
        except asyncio.CancelledError:
            # Only close() cancels, and nobody awaits this task; asyncio would report it as an error.
            writer.transport.abort()
        except Exception:
            logger.exception("a connection ended with an error")
        finally:
            too_slow.cancel()
            del self._connections[task]

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say that there are too many connections; a client that has not been read would never see it."""
        if self._refusing >= _REFUSED_AT_ONCE:
            writer.transport.abort()
            return
        self._refusing += 1
        logger.warning("more than %d connections: one is refused (max_connections)", self._max_connections)
        try:
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(_LISTEN_AGAIN_S):
                    await reader.read(4096)
                    writer.write(_REFUSAL)
                    await writer.drain()
        finally:
            self._refusing -= 1
            writer.close()
