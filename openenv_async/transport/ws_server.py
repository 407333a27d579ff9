"""The server's end of a WebSocket: on the HTTP server's own socket where it can be had, else through ASGI calls.

An HTTP server that can hand its socket over after the handshake, plain or under TLS, offers `TAKE_OVER` among the
scope's extensions; ours does (`server.hypercorn_connection`). Under any other, `AsgiLink` carries the messages,
which costs some 60 µs of CPU time more per message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

TAKE_OVER = "openenv.take_over"
"""The extension's name. Its value is a `TakeOver`."""

TakeOver = Callable[[], WebSocketLink | None]
"""To be called in the turn of the loop in which the WebSocket was accepted; None: its socket cannot be had."""


Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class AsgiLink:
    """One accepted WebSocket. Make it with `accept_link()`."""

    def __init__(self, receive: Receive, send: Send, subprotocol: str | None) -> None:
        self._receive, self._send, self.subprotocol = receive, send, subprotocol
        self._closed: LinkClosed | None = None

    async def send(self, message: Message) -> None:
        """See `Link.send`."""
        if self._closed is not None:
            raise self._closed
        event: Event = {"type": "websocket.send"}
        event["bytes" if isinstance(message, bytes) else "text"] = message
        try:
            await self._send(event)
        except (OSError, RuntimeError) as exc:
            # uvicorn raises when the peer has gone; Starlette and Hypercorn raise when we closed first.
            self._closed = self._closed or LinkClosed(f"the peer has gone: {exc}")
            raise self._closed from exc

    async def receive(self) -> Message:
        """See `Link.receive`."""
        if self._closed is not None:
            raise self._closed
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self._closed = LinkClosed(event.get("reason") or "the peer has gone", event.get("code", 1006))
            raise self._closed
        data = event.get("bytes")
        if data is not None:
            return bytes(data)
        return str(event["text"])

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        if self._closed is not None:
            return
        self._closed = LinkClosed(reason or "closed by the server", code)
        try:
            # A WebSocket close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
            short = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            await self._send({"type": "websocket.close", "code": code, "reason": short})
        except (OSError, RuntimeError):
            pass


async def accept_link(
    receive: Receive, send: Send, subprotocol: str | None, extensions: Mapping[str, Any] | None = None
) -> Link:
    """Complete the handshake of an ASGI `websocket` scope.

    Args:
        receive: the scope's.
        send: the scope's.
        subprotocol: what is agreed on.
        extensions: the scope's; with `TAKE_OVER` among them the link has the socket to itself.

    Raises:
        LinkClosed: the client left before the handshake ended.
    """
    event = await receive()
    if event["type"] != "websocket.connect":
        raise LinkClosed("the client left during the handshake")
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    take_over: TakeOver | None = (extensions or {}).get(TAKE_OVER)
    link = None if take_over is None else take_over()
    if link is None:
        return AsgiLink(receive, send, subprotocol)
    link.subprotocol = subprotocol
    return link
