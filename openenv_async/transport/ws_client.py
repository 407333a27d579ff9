"""The client's handshake of a WebSocket over TCP, TLS or a Unix socket; `ws_protocol` has the open connection.

Costs half the CPU time per message of `proxy_client`, which is for proxies.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast
from urllib.parse import urlsplit

import wsproto
from wsproto.events import AcceptConnection, Event, RejectConnection, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.transport.address import Address
from openenv_async.transport.link import LinkRefused
from openenv_async.transport.tls import client_context, explain
from openenv_async.transport.ws_protocol import WebSocketLink

MOST_HEAD_BYTES = 64 * 1024
"""Largest head of the server's answer to the handshake."""

TLS_CLOSE_S = 2.0
"""Seconds that the server may take to answer the end of a TLS connection."""

_BLANK_LINE = b"\r\n\r\n"


class Handshake(asyncio.Protocol):
    """Asks for a WebSocket; once the server accepts, a `WebSocketLink` takes the transport over.

    Args:
        address: the server's.
    """

    def __init__(self, address: Address) -> None:
        self.opened: asyncio.Future[WebSocketLink] = asyncio.get_running_loop().create_future()
        self._address = address
        self._wsproto = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: Request) -> None:
        """Send the request once the socket, and TLS over it, stand."""
        assert self._transport is not None
        self._transport.write(self._wsproto.send(request))

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self._refuse(explain(exc, self._address))
            return
        text = f"the connection broke: {exc}" if exc else "the server closed the connection"
        self._refuse(LinkRefused(text + _question(self._address), dropped=True))

    def data_received(self, data: bytes) -> None:
        # WebSocket frames begin behind the blank line that ends the server's answer.
        while not self.opened.done():
            head, blank, data = (self._head + data).partition(_BLANK_LINE)
            if not blank and len(head) < MOST_HEAD_BYTES:
                self._head = head
                return
            self._head = b""
            try:
                self._wsproto.receive_data(head + blank)
                for event in self._wsproto.events():
                    self._handle(event, data)
            except (RemoteProtocolError, LocalProtocolError) as exc:
                self._refuse(LinkRefused(f"the server does not speak WebSocket: {exc}"))

    def _handle(self, event: Event, frames: bytes) -> None:
        if isinstance(event, AcceptConnection):
            self._accepted(event.subprotocol, frames)
        elif isinstance(event, RejectConnection):
            text = f"the server answered HTTP {event.status_code} instead of opening a WebSocket"
            self._refuse(LinkRefused(text, event.status_code))

    def _accepted(self, subprotocol: str | None, frames: bytes) -> None:
        assert self._transport is not None
        assert self._wsproto.connection is not None
        link = WebSocketLink(self._wsproto.connection, "server", masks=True)
        link.subprotocol = subprotocol
        link.connection_made(self._transport)
        self._transport.set_protocol(link)
        self.opened.set_result(link)
        if frames:
            link.data_received(frames)

    def _refuse(self, error: LinkRefused) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
            # The caller may have given up meanwhile.
            self.opened.exception()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()


async def open_ws_link(address: Address) -> WebSocketLink:
    """Connect to an `http` or `https` address, or to a Unix socket.

    Raises:
        LinkRefused: no answer in time or at all, or the answer was not a WebSocket.
        CertificateRefused: one side does not accept the other's certificate.
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(address.url)
    host, secure = parts.hostname or "localhost", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    handshake = Handshake(address)
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            if address.unix_path is not None:
                await loop.create_unix_connection(lambda: handshake, address.unix_path)
            else:
                tls: dict[str, Any] = {}
                if secure:
                    tls = {"ssl": client_context(address), "server_hostname": host, "ssl_shutdown_timeout": TLS_CLOSE_S}
                await loop.create_connection(lambda: handshake, host, port, **tls)
            handshake.ask(_request(address, host, port))
            link = await handshake.opened
    except BaseException as exc:
        handshake.abort()
        if isinstance(exc, OSError) and not isinstance(exc, LinkRefused):
            raise _refusal(exc, address) from exc
        raise
    if address.ping_interval_s is not None:
        link.keep_alive(address.ping_interval_s, address.ping_timeout_s)
    return link


def _request(address: Address, host: str, port: int) -> Request:
    parts = urlsplit(address.url)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in address.headers.items()]
    # A server behind a tunnel may go by another name than its address.
    named = [value.decode("latin-1") for name, value in headers if name.lower() == b"host"]
    where = f"[{host}]" if ":" in host else host
    usual_port = 443 if parts.scheme == "https" else 80
    return Request(
        host=named[-1] if named else where if port == usual_port else f"{where}:{port}",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        subprotocols=list(address.subprotocols),
        extra_headers=[header for header in headers if header[0].lower() != b"host"],
    )


def _refusal(exc: OSError, address: Address) -> LinkRefused:
    if isinstance(exc, ssl.SSLError):
        return explain(exc, address)
    if isinstance(exc, TimeoutError):
        return LinkRefused(f"no answer within {address.connect_timeout_s:g} s")
    text = str(exc) or type(exc).__name__
    return LinkRefused(text + _question(address) if isinstance(exc, ConnectionResetError) else text)


def _question(address: Address) -> str:
    # The server's alert that says so can be lost with the socket.
    asked = address.url.startswith("https:") and address.client_cert_file is None
    return "; does the server require a client certificate (client_cert_file=)?" if asked else ""
