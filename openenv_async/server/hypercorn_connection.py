"""One connection under Hypercorn.

Differs from Hypercorn's own connection: no compression, a socket that can be taken
over after the handshake, pings that end with the connection, and disconnect events
that always arrive. `hypercorn_worker` accepts connections and limits their number.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import h11
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import AppWrapper

from openenv_async.transport.link import LinkClosed
from openenv_async.transport.ws_protocol import WebSocketLink
from openenv_async.transport.ws_server import TAKE_OVER

_READ_BYTES = 64 * 1024


class WorkerConfig(Config):
    """Hypercorn's settings, and one more."""

    silence_s: float = math.inf
    """Seconds without a byte from a WebSocket client, pongs included, after which the connection is closed."""


class ConnectionContext(WorkerContext):
    """One connection's context, whose sleep between pings ends with the connection.

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
    """Deliver a disconnect event also to an app that does not read at the moment.

    Hypercorn would wait for a place in the app's queue: forever, when the app has answered without reading
    all of a body, or has stopped reading until its replies have left and so waits for that same client.
    """
    queue: asyncio.Queue[Any] = put.__self__  # type: ignore[attr-defined]  # Hypercorn gives the queue's own method

    gone = False

    async def put_or_make_room(event: Any) -> None:
        nonlocal gone
        if event["type"] in ("websocket.disconnect", "http.disconnect"):
            gone = True
            # All of them: an earlier message must not be lost while later requests are executed.
            while queue.full():
                _empty(queue)
        elif gone:
            return
        await put(event)

    return put_or_make_room


class _Offering:
    """The app, with the socket of a WebSocket offered in its scope."""

    def __init__(self, app: AppWrapper, connection: HypercornConnection) -> None:
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


class HypercornConnection(TCPServer):
    """One connection; sets its context's `gone` when nothing more will be read."""

    config: WorkerConfig
    context: ConnectionContext
    chunks = 0
    """Number of pieces of input that Hypercorn has received."""
    taken: WebSocketLink | None = None
    """The link that has taken over the socket."""

    @property
    def protocol(self) -> ProtocolWrapper:
        """Return what Hypercorn makes as the connection begins, with this module's HTTP/1.1 in it."""
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

    def take_over(self, chunks: int) -> WebSocketLink | None:
        """Pass the socket of the WebSocket that was just accepted to a link; Hypercorn no longer reads it.

        Args:
            chunks: the value of `chunks` as the handshake began; more means that Hypercorn has read messages since.

        Raises:
            LinkClosed: the WebSocket no longer exists.
        """
        http = self.protocol.protocol
        stream = http.stream if isinstance(http, H11Protocol) else None
        if self.taken is not None or self.chunks != chunks or not isinstance(stream, WSStream):
            return None
        if "connection" not in vars(stream):
            # The client did not wait for the handshake's answer, or left: Hypercorn refused it and sends no disconnect.
            asyncio.get_running_loop().call_soon(self._task.cancel)
            raise LinkClosed("the client was refused during the handshake")
        transport = cast("asyncio.Transport", self.writer.transport)
        link = WebSocketLink(
            stream.connection,
            "client",
            self.config.websocket_max_message_size,
            replaces=transport.get_protocol(),
        )
        link.connection_made(transport)
        # Until the reader's buffered data has been passed on, see _read_data.
        transport.pause_reading()
        transport.set_protocol(link)
        if self.config.websocket_ping_interval is not None:
            link.keep_alive(self.config.websocket_ping_interval, self.config.silence_s)
        stream.closed = True  # for Hypercorn, which would send pings of its own
        self.taken = link
        self.reader.feed_eof()
        return link

    async def let_go(self, code: int) -> None:
        """Close the WebSocket when the app has returned without closing it."""
        if self.taken is not None:
            await self.taken.aclose(code)

    async def protocol_send(self, event: Event) -> None:
        """Pass on HTTP events, but do not wait for a further request of a client that has gone."""
        if not (isinstance(event, Updated) and self.context.gone.is_set()):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
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
            # Hypercorn would hold the connection, with its socket, until the keep-alive time is over.
            await self.idle_task.stop()

    async def _pass_on(self, data: bytes) -> None:
        if self.taken is None:
            self.chunks += 1
            await self.protocol.handle(RawData(data))
        elif data:
            self.taken.data_received(data)

    async def _hand_over(self, link: WebSocketLink) -> None:
        rest = await self.reader.read()
        if rest:
            link.data_received(rest)
        cast("asyncio.Transport", self.writer.transport).resume_reading()
        await link.gone
