"""The client's end of a WebSocket through a proxy, over httpx and httpx-ws. `ws_client` is for all other addresses.

Traps of these libraries that this file hides from its callers: `aconnect_ws`
raises ExceptionGroups and must be entered and left in one task; its
`max_message_size_bytes` is the size of one read, not a limit; a default
`httpx.AsyncClient` has timeouts and a pool that fit requests, not connections; a
send that is cancelled leaves half a message on the wire; a receive may wait for ever
when its connection is left; its pings give up on a server whose answer is there and
was not read yet. One that stays: a pong that was not asked for ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import TypeVar

import anyio
import httpx
import httpx_ws
import wsproto.events
from wsproto.utilities import LocalProtocolError

from openenv_async.transport.address import Address, is_loopback
from openenv_async.transport.link import LinkClosed, LinkRefused, Message
from openenv_async.transport.tls import client_context, explain
from openenv_async.transport.ws_protocol import GRACE_S

ErrorT = TypeVar("ErrorT", bound=BaseException)

READ_BYTES = 256 * 1024
"""Bytes taken from the socket at once. Larger reads join fewer fragments (httpx-ws joins them quadratically)."""


CLOSE_WAIT_S = 2.0
"""Seconds that the goodbye may take; then the socket is dropped."""


class ProxyLink:
    """One open WebSocket. Make it with `open_proxy_link()`; a task of its own holds the connection."""

    def __init__(self, session: httpx_ws.AsyncWebSocketSession, done: asyncio.Event) -> None:
        self._session, self._done = session, done
        self.subprotocol = session.subprotocol
        self._closed: LinkClosed | None = None
        self._holder: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._receiving: asyncio.Task[wsproto.events.Event] | None = None
        self._heard = False

    async def send(self, message: Message) -> None:
        """Send one message; see `Link.send`. A cancelled call goes on sending: nothing could follow half a message."""
        if self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending])
        if self._closed is not None:
            raise self._closed
        self._sending = asyncio.ensure_future(self._send(message))
        await asyncio.shield(self._sending)

    async def _send(self, message: Message) -> None:
        try:
            if isinstance(message, bytes):
                await self._session.send_bytes(message)
            else:
                await self._session.send_text(message)
        except (httpx_ws.HTTPXWSException, httpx.HTTPError, anyio.ClosedResourceError, LocalProtocolError) as exc:
            raise self._lost(exc) from exc

    async def receive(self) -> Message:
        """See `Link.receive`."""
        if self._receiving is None:
            if self._closed is not None:
                raise self._closed
            # A task of its own: when the caller is cancelled in the turn in which a message arrives, anyio's stream
            # would lose it. The next call takes what this task brings.
            self._receiving = asyncio.ensure_future(self._session.receive())
            self._receiving.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait([self._receiving])
        receiving, self._receiving = self._receiving, None
        try:
            event = receiving.result()
        except asyncio.CancelledError:
            raise self._closed or LinkClosed() from None
        except httpx_ws.WebSocketDisconnect as exc:
            self._closed = self._closed or LinkClosed(exc.reason or "the server closed the connection", exc.code)
            # Leaves the socket, so that a send which waits for the server to read ends too.
            self._done.set()
            raise self._closed from exc
        except (httpx_ws.HTTPXWSException, anyio.EndOfStream, anyio.ClosedResourceError) as exc:
            raise self._lost(exc) from exc
        self._heard = True
        if isinstance(event, wsproto.events.BytesMessage):
            # A message that arrived in one piece is still wsproto's bytearray.
            return bytes(event.data)
        if isinstance(event, wsproto.events.TextMessage):
            return event.data
        raise self._lost(TypeError(f"unexpected event {type(event).__name__}"))

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        self._closed = self._closed or LinkClosed("closed by this client", code)
        self._done.set()
        if self._holder is not None:
            with anyio.CancelScope(shield=True):
                _, late = await asyncio.wait([self._holder], timeout=CLOSE_WAIT_S)
                for holder in late:
                    # It says goodbye to a server that does not read.
                    holder.cancel()
                    await asyncio.wait([holder], timeout=CLOSE_WAIT_S)

    async def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ping every `interval_s` seconds; end the link when nothing is heard for `timeout_s` seconds after one."""
        with contextlib.suppress(httpx_ws.HTTPXWSException, anyio.ClosedResourceError, LocalProtocolError):
            while True:
                await asyncio.sleep(interval_s)
                self._heard = False
                pong = await self._session.ping()
                # A moment more, as in `ws_protocol`: the answer may be here, and this process too busy to read it.
                for patience_s in (timeout_s, min(GRACE_S, timeout_s / 4)):
                    if not self._heard:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(pong.wait(), patience_s)
                if not pong.is_set() and not self._heard:
                    text = f"nothing was heard from the server for {timeout_s:g} s, pings unanswered"
                    self._closed = self._closed or LinkClosed(text)
                    self._done.set()
                    return

    def _lost(self, exc: BaseException) -> LinkClosed:
        self._closed = self._closed or LinkClosed(f"the connection broke: {exc or type(exc).__name__}")
        self._done.set()
        return self._closed

    def hold(self, holder: asyncio.Task[None]) -> None:
        """Remember the task that holds the connection, so that `aclose` can wait for it."""
        self._holder = holder
        holder.add_done_callback(self._wake_receiver)

    def _wake_receiver(self, holder: asyncio.Task[None]) -> None:
        # httpx-ws leaves a receive waiting when its connection is left while the peer says nothing.
        self._closed = self._closed or LinkClosed("the connection broke")
        if self._receiving is not None:
            self._receiving.cancel()


async def open_proxy_link(address: Address) -> ProxyLink:
    """Connect, and agree on a subprotocol or on none.

    Raises:
        LinkRefused: nobody answered, in time or at all, or the answer was not a WebSocket.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[ProxyLink] = loop.create_future()
    holder = loop.create_task(_hold(address, opened), name=f"openenv link to {address.url}")
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            link = await opened
    except TimeoutError:
        holder.cancel()
        await asyncio.wait([holder], timeout=5)
        raise LinkRefused(f"no answer within {address.connect_timeout_s:g} s") from None
    except BaseException:
        holder.cancel()
        raise
    link.hold(holder)
    return link


async def _hold(address: Address, opened: asyncio.Future[ProxyLink]) -> None:
    """Enter and leave the connection's contexts in this one task."""
    done = asyncio.Event()
    session: httpx_ws.AsyncWebSocketSession
    try:
        async with (
            _http_client(address) as client,
            httpx_ws.aconnect_ws(
                address.url,
                client,
                headers=_latin(address.headers),
                subprotocols=list(address.subprotocols) or None,
                max_message_size_bytes=READ_BYTES,
                keepalive_ping_interval_seconds=None,
            ) as session,
        ):
            if session.subprotocol not in (None, *address.subprotocols):
                raise LinkRefused(f"the server chose {session.subprotocol!r}, a subprotocol that was not offered")
            link = ProxyLink(session, done)
            pinger: asyncio.Task[None] | None = None
            if address.ping_interval_s is not None:
                pinger = asyncio.ensure_future(link.keep_alive(address.ping_interval_s, address.ping_timeout_s))
            if not opened.done():
                opened.set_result(link)
            try:
                await done.wait()
            finally:
                if pinger is not None:
                    pinger.cancel()
    except Exception as exc:
        if not opened.done():
            opened.set_exception(_refusal(exc, address))


def _latin(headers: Mapping[str, str]) -> httpx.Headers:
    """Give headers as HTTP carries them; httpx alone takes text in ASCII only."""
    return httpx.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()])


def _http_client(address: Address) -> httpx.AsyncClient:
    timeout = httpx.Timeout(None, connect=address.connect_timeout_s)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    # Loading the CA bundle takes longer than connecting; without TLS nothing is verified anyway.
    verify = client_context(address) if address.url.startswith("https:") else False
    if address.unix_path is not None:
        transport = httpx.AsyncHTTPTransport(uds=address.unix_path, limits=limits, verify=verify)
        return httpx.AsyncClient(transport=transport, timeout=timeout)
    # Environment variables may name a proxy; it must not catch what stays on this machine.
    away = not is_loopback(httpx.URL(address.url).host)
    return httpx.AsyncClient(timeout=timeout, limits=limits, verify=verify, trust_env=away)


def _refusal(exc: BaseException, address: Address) -> LinkRefused:
    while isinstance(exc, BaseExceptionGroup) and exc.exceptions:
        exc = exc.exceptions[0]
    if isinstance(exc, LinkRefused):
        return exc
    tls = _cause(exc, ssl.SSLError)
    if tls is not None:
        return explain(tls, address)
    if isinstance(exc, httpx_ws.WebSocketUpgradeError):
        status = exc.response.status_code
        return LinkRefused(f"the server answered HTTP {status} instead of opening a WebSocket", status)
    text = str(exc) or type(exc).__name__
    # What httpx says of a socket that was closed before the answer; of an answer that is none it says other things.
    dropped = isinstance(exc, (httpx.ReadError, httpx.WriteError)) or "disconnected without" in text
    return LinkRefused(text, dropped=dropped)


def _cause(exc: BaseException | None, kind: type[ErrorT]) -> ErrorT | None:
    while exc is not None and not isinstance(exc, kind):
        exc = exc.__cause__ or exc.__context__
    return exc
