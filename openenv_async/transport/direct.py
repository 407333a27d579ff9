"""The client's end of a WebSocket straight on an event-loop transport: plain TCP and Unix sockets.

Half the CPU time per message of `websocket`, which carries TLS and proxies: no task
and no queue stands between the socket and whoever receives. wsproto does the
handshake and the frames; this file moves its bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import wsproto
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.transport.address import Address
from openenv_async.transport.link import LinkClosed, LinkRefused, Message

UNREAD_BYTES = 4 * 1024 * 1024
"""Received and not yet taken; above it the socket is not read, so that a slow receiver slows the sender."""

CLOSE_WAIT_S = 1.0
"""Seconds that a peer may take to answer the close."""


class DirectLink(asyncio.Protocol):
    """One WebSocket. Make it with `open_direct_link()`."""

    def __init__(self) -> None:
        self.subprotocol: str | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._messages: deque[Message] = deque()
        self._unread = 0
        self._parts: list[Any] = []
        self._closed: LinkClosed | None = None
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._heard = True
        self._reading = True
        self._pinger: asyncio.TimerHandle | None = None

    async def send(self, message: Message) -> None:
        """See `Link.send`. Waits while the socket has more than it can take."""
        while self._writable is not None:
            # Shielded: a cancelled call must not cancel what the next one waits for.
            await asyncio.shield(self._writable)
        if self._closed is not None:
            raise self._closed
        self._write(BytesMessage(message) if isinstance(message, bytes) else TextMessage(message))

    async def receive(self) -> Message:
        """See `Link.receive`. What arrived before the close is still given."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self._receiver = self._loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        message = self._messages.popleft()
        self._unread -= len(message)
        if not self._reading and self._unread < UNREAD_BYTES and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()
        return message

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        if self._transport is None:
            return
        if self._closed is None:
            self._write(CloseConnection(code=code, reason=reason or None))
            self._end(LinkClosed("closed by this client", code))
        try:
            if not self._gone.done():
                # The peer answers the close; one that does not is left.
                await asyncio.wait([self._gone], timeout=CLOSE_WAIT_S)
        finally:
            # Also when the loop ends first and cancels this: the socket must not outlive it.
            self._drop()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._end(LinkClosed("closed by this client"))
        self._drop()

    def _drop(self) -> None:
        # A transport that has lost its connection may raise when it is aborted once more.
        if self._transport is not None and not self._gone.done():
            self._transport.abort()

    def keep_alive(self, interval_s: float) -> None:
        """Ping when nothing was heard for `interval_s` seconds; end the link when nothing comes back in as many."""
        self._heard = False
        self._pinger = self._loop.call_later(interval_s, self._check, interval_s, False)

    def _check(self, interval_s: float, pinged: bool) -> None:
        if self._closed is not None:
            return
        if pinged and not self._heard:
            self._end(LinkClosed(f"the server has not answered a ping for {interval_s:g} s"))
            self._drop()
            return
        ping = not self._heard
        self._heard = False
        if ping:
            self._write(Ping())
        self._pinger = self._loop.call_later(interval_s, self._check, interval_s, ping)

    def _write(self, event: Event) -> None:
        try:
            data = self._ws.send(event)
        except LocalProtocolError as exc:
            self._end(LinkClosed(f"the connection is closing: {exc}"))
            return
        if self._transport is not None:
            self._transport.write(data)

    def request(self, event: Request) -> None:
        """Send the handshake."""
        self._write(event)

    def _end(self, reason: LinkClosed) -> None:
        if self._closed is None:
            self._closed = reason
        if self._pinger is not None:
            self._pinger.cancel()
        if not self.opened.done():
            self.opened.set_exception(LinkRefused(reason.reason))
            # Whoever opened it may have given up meanwhile.
            self.opened.exception()
        for waiter in (self._receiver, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._writable = None

    # What follows is `asyncio.Protocol`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._end(LinkClosed(f"the connection broke: {exc}" if exc else "the server closed the connection"))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """The socket has more than it can take."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        """Give the bytes to wsproto and act on what they mean."""
        self._heard = True
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                self._handle(event)
        except (RemoteProtocolError, LocalProtocolError) as exc:
            self._end(LinkClosed(f"the server does not speak WebSocket: {exc}"))
            if self._transport is not None:
                self._transport.abort()
            return
        if self._messages and self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        if self._reading and self._unread > UNREAD_BYTES and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _handle(self, event: Event) -> None:
        if isinstance(event, (BytesMessage, TextMessage)):
            self._parts.append(event.data)
            if event.message_finished:
                empty: Any = b"" if isinstance(event, BytesMessage) else ""
                message: Message = empty.join(self._parts)
                self._parts.clear()
                self._messages.append(message)
                self._unread += len(message)
        elif isinstance(event, Ping):
            self._write(event.response())
        elif isinstance(event, AcceptConnection):
            self.subprotocol = event.subprotocol
            self.opened.set_result(None)
        elif isinstance(event, CloseConnection):
            if self._closed is None:
                self._write(event.response())
            self._end(LinkClosed(event.reason or "the server closed the connection", int(event.code)))
            if self._transport is not None:
                self._transport.close()
        elif isinstance(event, RejectConnection):
            self._refuse(event)
        elif not isinstance(event, (Pong, RejectData)):
            raise RemoteProtocolError(f"unexpected {type(event).__name__}")

    def _refuse(self, event: RejectConnection) -> None:
        if not self.opened.done():
            text = f"the server answered HTTP {event.status_code} instead of opening a WebSocket"
            self.opened.set_exception(LinkRefused(text, event.status_code))


async def open_direct_link(address: Address, host: str, port: int, target: str) -> DirectLink:
    """Connect to a plain `http`/`ws` address or a Unix socket.

    Raises:
        LinkRefused: nobody answered, in time or at all, or the answer was not a WebSocket.
    """
    loop = asyncio.get_running_loop()
    link: DirectLink | None = None
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in address.headers.items()]
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            if address.unix_path is not None:
                _, link = await loop.create_unix_connection(DirectLink, address.unix_path)
            else:
                _, link = await loop.create_connection(DirectLink, host, port)
            link.request(
                Request(
                    host=host if port == 80 else f"{host}:{port}",
                    target=target,
                    subprotocols=list(address.subprotocols),
                    extra_headers=headers,
                )
            )
            await link.opened
    except BaseException as exc:
        if link is not None:
            link.abort()
        if isinstance(exc, TimeoutError):
            raise LinkRefused(f"no answer within {address.connect_timeout_s:g} s") from None
        if isinstance(exc, OSError) and not isinstance(exc, LinkRefused):
            raise LinkRefused(str(exc) or type(exc).__name__) from exc
        raise
    if address.ping_interval_s is not None:
        link.keep_alive(address.ping_interval_s)
    return link
