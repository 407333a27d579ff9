"""A WebSocket with the methods that OpenEnv's clients use: `send`, `recv`, `close`, `state`.

Subclasses written for OpenEnv read `_ws`, and some put a connection of the
`websockets` library there; so the clients use only what both have. Ours wraps a
transport's link. Also disposes of sockets of another event loop or process.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from typing import Any
from urllib.parse import urlsplit

from openenv_async.transport.address import Address, is_loopback
from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.network import connect_link
from openenv_sync import process

OPEN, CLOSING, CLOSED = 1, 2, 3
"""States of a connection, numbered as `websockets` does."""

CLOSE_WAIT_S = 5.0
"""Seconds that a server may take to close a session after the client's close message."""

_elsewhere: list[Any] = []
"""Sockets of a parent process, in its forked child. Never used and never collected: that would remove them from the
event queue that both processes share."""


class Socket:
    """One open connection, on the event loop on which it was opened."""

    def __init__(self, link: Link, max_size: int | None) -> None:
        self._link, self._max_size = link, max_size
        self.state = OPEN
        self.process_id = os.getpid()

    async def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            LinkClosed: the connection is closed; the message did not arrive as a whole.
        """
        try:
            await self._link.send(message)
        except LinkClosed:
            self.state = CLOSED
            raise

    async def recv(self) -> Message:
        """Receive the next message.

        Raises:
            LinkClosed: there is no further message.
            RuntimeError: it is larger than allowed; the connection stays open.
        """
        try:
            message = await self._link.receive()
        except LinkClosed:
            self.state = CLOSED
            raise
        if self._max_size is not None and len(message) > self._max_size:
            raise RuntimeError(
                f"the server's answer has {len(message):,} bytes; the limit is {self._max_size:,} (max_message_size_mb)"
            )
        return message

    async def ended(self, timeout_s: float) -> None:
        """Wait until the server closes; ignore its remaining messages.

        Raises:
            LinkClosed: it has closed.
            TimeoutError: it has not.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                await self.recv()

    async def close(self) -> None:
        """Close the connection; never raises, and returns within seconds. Safe to repeat."""
        self.state = CLOSED
        await self._link.aclose()


async def ws_connect(
    uri: str,
    *,
    open_timeout: float | None = 10.0,
    max_size: int | None = None,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    additional_headers: Any = None,
) -> Socket:
    """Open a WebSocket; the names of the arguments are those of `websockets.connect`.

    Args:
        uri: `ws(s)://host:port/path?query`.
        open_timeout: seconds to connect; None: as long as it takes.
        max_size: largest message to receive, in bytes.
        ping_interval: seconds between two pings; None: none are sent.
        ping_timeout: seconds it has to answer; None: for ever.
        additional_headers: a mapping or pairs, sent with the request.

    Raises:
        LinkRefused: there was no answer in time, or it was not a WebSocket.
    """
    scheme, _, rest = uri.partition("://")
    link = await connect_link(
        Address(
            url=f"{'https' if scheme == 'wss' else 'http'}://{rest}",
            headers={str(name): str(value) for name, value in dict(additional_headers or {}).items()},
            connect_timeout_s=open_timeout if open_timeout is not None else 1e9,
            ping_interval_s=ping_interval,
            ping_timeout_s=ping_timeout if ping_timeout is not None else math.inf,
        )
    )
    socket = Socket(link, max_size)
    portal = process.current()
    if portal is not None and asyncio.get_running_loop() is portal.loop:
        portal.hold(socket)  # closed when the interpreter exits, if not before
    return socket


def let_go(socket: Any) -> None:
    """Forget a socket that has been closed."""
    portal = process.current()
    if portal is not None:
        portal.let_go(socket)


def drop(socket: Any, loop: asyncio.AbstractEventLoop | None) -> None:
    """Dispose of a socket from outside its event loop: another loop, a finalizer, a forked child."""
    if getattr(socket, "process_id", os.getpid()) != os.getpid():
        _elsewhere.append(socket)
    elif not isinstance(loop, asyncio.AbstractEventLoop):
        return
    elif loop.is_closed():
        _free(socket)
    else:
        with contextlib.suppress(RuntimeError):  # it was closed just now
            loop.call_soon_threadsafe(_close_there, socket)
        let_go(socket)


def _free(socket: Any) -> None:
    """Free a connection whose event loop is closed, so that the server sees it end."""
    transport: Any = getattr(getattr(socket, "_link", None), "_transport", None)
    # asyncio has no public way: close() and abort() call the loop. uvloop has closed its sockets itself.
    with contextlib.suppress(AttributeError, OSError, RuntimeError):
        transport._call_connection_lost(None)


def _close_there(socket: Any) -> None:
    task = asyncio.ensure_future(close_quietly(socket))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()


async def close_quietly(socket: Any, last: str | None = None) -> None:
    """Close a socket of either kind; errors are ignored.

    Args:
        socket: the socket.
        last: a last message, which the server answers by closing; its slot for the session is free then.
    """
    with contextlib.suppress(Exception, asyncio.CancelledError):
        if last is not None:
            await socket.send(last)
            if isinstance(socket, Socket):
                await socket.ended(CLOSE_WAIT_S)
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await socket.close()
    let_go(socket)


def is_closed(socket: Any) -> bool:
    """Return whether a socket's state is closed or closing."""
    state = getattr(socket, "state", None)
    return isinstance(state, int) and state in (CLOSING, CLOSED)


def is_localhost(ws_url: str) -> bool:
    """Return whether a WebSocket's address is on this machine."""
    host = urlsplit(ws_url).hostname
    return host is not None and is_loopback(host)


def is_gone(exc: Exception) -> bool:
    """Return whether an error says that a connection is closed: ours, or one of the `websockets` library."""
    return isinstance(exc, LinkClosed) or any(kind.__name__ == "ConnectionClosed" for kind in type(exc).__mro__)
