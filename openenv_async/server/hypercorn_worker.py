"""Accepts connections on bound sockets and runs Hypercorn on each.

Limits the number of connections, and ends them within a bounded time. Hypercorn speaks HTTP and WebSocket on each
(`hypercorn_connection`); its own serving loop is not used because its shutdown waits, without a bound, for
connections that a slow or silent peer keeps open (on Python >= 3.12 `Server.wait_closed` waits for all of them).
Here connections that are still open after that time are aborted. `server.runner` uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import Iterable
from typing import Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, LifespanState
from starlette.types import ASGIApp

from openenv_async.server.hypercorn_connection import ConnectionContext, HypercornConnection, WorkerConfig

logger = logging.getLogger("openenv_async.server")

_ABORT_TIMEOUT_S = 0.5
_TLS_GOODBYE_S = 2.0
"""Seconds that a client has for the closing handshake of TLS."""

_LISTEN_AGAIN_S = 0.5
"""Seconds that a connection beyond the limit has to send its request, so that it can read the refusal."""

_REFUSED_AT_ONCE = 256
"""Connections beyond the limit that get an answer; further ones are aborted without one."""

_FULL = b'{"detail":"the server has as many connections as it takes (max_connections)","code":"CAPACITY_REACHED"}'
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)

_DEAD_AFTER_S = 60.0
"""Seconds within which a peer's system must acknowledge data; Linux's default is about 15 minutes."""


class Worker:
    """Accepts connections and runs Hypercorn on each; call `listen`, then `stop_listening`, then `close`.

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
        config: WorkerConfig,
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
        """Accept connections on sockets that are bound and listening. The caller closes them."""
        for sock in sockets:
            # A duplicate: the loop closes the socket it accepts on, the caller the one it bound.
            mine = sock.dup()
            if hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX:
                # The socket file belongs to the process that bound it, which may be another.
                extra: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
                server = await asyncio.start_unix_server(
                    self._connected, sock=mine, backlog=self._config.backlog, **extra
                )
            else:
                server = await asyncio.start_server(
                    self._connected, sock=mine, backlog=self._config.backlog, **self._tls
                )
            self._servers.append(server)

    async def stop_listening(self) -> None:
        """Accept no more connections; open ones are kept. Safe to repeat."""
        servers, self._servers = self._servers, []
        loop = asyncio.get_running_loop()
        if servers and isinstance(loop, asyncio.SelectorEventLoop):
            # asyncio makes the transport of what it has accepted a turn later, and fails if the server is closed by
            # then; the client would have a connection that no server reads.
            for server in servers:
                for sock in server.sockets:
                    loop.remove_reader(sock.fileno())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for server in servers:
            server.close()

    async def close(self, linger_s: float) -> None:
        """End every connection: idle ones at once, busy ones when they are done or `linger_s` has passed."""
        await self.stop_listening()
        await self._context.terminated.set()  # Hypercorn: closes idle connections, keeps none alive
        await self._wait(linger_s)
        if self._connections:
            logger.warning("%d connections did not end within %g s; they are aborted", len(self._connections), linger_s)
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
        _notice_the_dead(writer)
        loop = asyncio.get_running_loop()
        context = ConnectionContext(self._context)
        too_slow = loop.call_later(self._handshake_timeout_s, writer.transport.abort)
        context.on_request = too_slow.cancel
        try:
            await HypercornConnection(self._app, loop, self._config, context, self._state, reader, writer)
        except asyncio.CancelledError:
            # By close(), or by the connection itself. No code awaits this task, so asyncio would report an error.
            writer.transport.abort()
        except Exception:
            logger.exception("a connection ended with an error")
        finally:
            too_slow.cancel()
            del self._connections[task]

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer that there are too many connections, after reading: otherwise the client would not see the answer."""
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


def _notice_the_dead(writer: asyncio.StreamWriter) -> None:
    """Let the system end the connection of a peer that no longer acknowledges data, such as pings."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = writer.get_extra_info("socket")
    if option is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, int(_DEAD_AFTER_S * 1000))
