"""The client's end of a WebSocket straight on an event-loop transport: plain TCP and Unix sockets.

Half the CPU time per message of `proxy_client`, which carries TLS and proxies. Owns the
client's handshake; `ws_protocol` has the open connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import wsproto
from wsproto.events import AcceptConnection, Event, RejectConnection, RejectData, Request

from openenv_async.transport.address import Address
from openenv_async.transport.link import LinkClosed, LinkRefused, Message
from openenv_async.transport.ws_protocol import FramedLink, TooBig

MOST_HEAD_BYTES = 64 * 1024
"""Of the server's answer to the handshake."""

_BLANK_LINE = b"\r\n\r\n"


class DirectLink(FramedLink):
    """One WebSocket. Make it with `open_direct_link()`."""

    def __init__(self) -> None:
        super().__init__(wsproto.WSConnection(wsproto.ConnectionType.CLIENT), "server", masks=True)
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._dropped = False
        self._head = b""
        self._shaken = False
        """The server has accepted."""

    def _read(self, data: bytes) -> Iterator[Message | TooBig | Event]:
        # Frames begin behind the blank line that ends the server's answer; what is held is bounded, as h11's is.
        while not self._shaken:
            head, blank, data = (self._head + data).partition(_BLANK_LINE)
            if not blank and len(head) < MOST_HEAD_BYTES:
                self._head = head
                return
            self._head = b""
            # Each event is handled before the next is asked for, so that this tells whether the server has accepted.
            yield from self._incoming.interpret(head + blank)
            if not data:
                return
        yield from super()._read(data)

    def request(self, event: Request) -> None:
        """Send the handshake."""
        self._write(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._dropped = True
        super().connection_lost(exc)

    def _end(self, reason: LinkClosed) -> None:
        super()._end(reason)
        if not self.opened.done():
            self.opened.set_exception(LinkRefused(reason.reason, dropped=self._dropped))
            # Whoever opened it may have given up meanwhile.
            self.opened.exception()

    def _handle(self, event: Event | TooBig) -> None:
        if isinstance(event, AcceptConnection):
            self.subprotocol = event.subprotocol
            self._shaken = True
            self.opened.set_result(None)
        elif isinstance(event, RejectConnection):
            self._refuse(event)
        elif not isinstance(event, RejectData):
            super()._handle(event)

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
    # A server behind a tunnel may go by another name than its address.
    named = [value.decode("latin-1") for name, value in headers if name.lower() == b"host"]
    there = named[-1] if named else host if port == 80 else f"{host}:{port}"
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            if address.unix_path is not None:
                _, link = await loop.create_unix_connection(DirectLink, address.unix_path)
            else:
                _, link = await loop.create_connection(DirectLink, host, port)
            link.request(
                Request(
                    host=there,
                    target=target,
                    subprotocols=list(address.subprotocols),
                    extra_headers=[header for header in headers if header[0].lower() != b"host"],
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
        link.keep_alive(address.ping_interval_s, address.ping_timeout_s)
    return link
