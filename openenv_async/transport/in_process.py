"""The client's end of a WebSocket to an ASGI app in the same process and event loop: no socket.

The app sees a real `proxy_client` scope and cannot tell the difference. Queues are
bounded both ways, so a slow reader slows the writer, as a socket would.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from openenv_async.transport.link import LinkClosed, LinkRefused, Message
from openenv_async.transport.ws_server import Event, Receive, Send

T = TypeVar("T")


class Pipe(Generic[T]):
    """At most `capacity` items wait in it. What was put before the close can still be got."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._waiting: set[asyncio.Future[None]] = set()
        self.closed: LinkClosed | None = None

    async def put(self, item: T) -> None:
        """Add an item; waits while the pipe is full.

        Raises:
            LinkClosed: it was closed, before or meanwhile. A cancelled call added nothing.
        """
        while self.closed is None and len(self._items) >= self._capacity:
            await self._change()
        if self.closed is not None:
            raise self.closed
        self._items.append(item)
        self._changed()

    async def get(self) -> T:
        """Take the oldest item; waits for one.

        Raises:
            LinkClosed: it was closed and is empty. A cancelled call took nothing.
        """
        while not self._items:
            if self.closed is not None:
                raise self.closed
            await self._change()
        item = self._items.popleft()
        self._changed()
        return item

    def close(self, error: LinkClosed) -> None:
        """Let nothing more in; whoever waits hears of it. The first close gives the reason."""
        if self.closed is None:
            self.closed = error
        self._changed()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _changed(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class MemoryLink:
    """One end of `memory_links()`."""

    def __init__(self, outgoing: Pipe[Message], incoming: Pipe[Message], subprotocol: str | None) -> None:
        self._out, self._in, self.subprotocol = outgoing, incoming, subprotocol

    async def send(self, message: Message) -> None:
        """See `Link.send`. Waits while the other end has not read enough."""
        await self._out.put(message)

    async def receive(self) -> Message:
        """See `Link.receive`. What was sent before the close still arrives."""
        return await self._in.get()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        error = LinkClosed(reason or "the connection is closed", code)
        self._out.close(error)
        self._in.close(error)


def memory_links(subprotocol: str | None = None, capacity: int = 64) -> tuple[MemoryLink, MemoryLink]:
    """Give two connected links; `capacity` messages may wait each way."""
    one, two = Pipe[Message](capacity), Pipe[Message](capacity)
    return MemoryLink(one, two, subprotocol), MemoryLink(two, one, subprotocol)


AsgiApp = Callable[[Any, Receive, Send], Awaitable[None]]

APP_END_S = 5.0
"""Seconds that the app may take to end after its client has closed; then it is cancelled."""

APP_FAILED = 1011
"""The close code when the app raised or ended without closing."""


class InProcessLink:
    """One WebSocket into an app. Make it with `open_inprocess()`."""

    def __init__(self, app: AsgiApp, scope: dict[str, Any], capacity: int = 64) -> None:
        self.subprotocol: str | None = None
        self._to_app: Pipe[Event] = Pipe(capacity)
        self._from_app: Pipe[Event] = Pipe(capacity)
        self._task = asyncio.get_running_loop().create_task(self._serve(app, scope), name="openenv in-process app")

    async def send(self, message: Message) -> None:
        """See `Link.send`."""
        event: Event = {"type": "websocket.receive"}
        event["bytes" if isinstance(message, bytes) else "text"] = message
        await self._to_app.put(event)

    async def receive(self) -> Message:
        """See `Link.receive`. What the app sent before the close still arrives."""
        event = await self._from_app.get()
        data = event.get("bytes")
        return bytes(data) if data is not None else str(event["text"])

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        self._close(LinkClosed(reason or "closed by this client", code))
        await asyncio.wait([self._task], timeout=APP_END_S)
        self._task.cancel()

    async def handshake(self) -> None:
        """Ask the app for the connection.

        Raises:
            LinkRefused: the app closed instead of accepting, or failed.
        """
        await self._to_app.put({"type": "websocket.connect"})
        try:
            event = await self._from_app.get()
        except LinkClosed as exc:
            raise LinkRefused(exc.reason, None if exc.code == APP_FAILED else 403) from None
        except BaseException:
            self._task.cancel()
            raise
        if event["type"] == "websocket.http.response.start":
            status = int(event["status"])
            raise LinkRefused(f"the app answered HTTP {status} instead of opening a WebSocket", status)
        self.subprotocol = event.get("subprotocol")

    async def _serve(self, app: AsgiApp, scope: dict[str, Any]) -> None:
        reason = "the app ended the connection"
        try:
            await app(scope, self._receive, self._send)
        except Exception as exc:
            reason = f"the app failed: {type(exc).__name__}: {exc}"
        finally:
            self._close(LinkClosed(reason, APP_FAILED))

    async def _receive(self) -> Event:
        """The app's `receive`."""
        try:
            return await self._to_app.get()
        except LinkClosed as exc:
            return {"type": "websocket.disconnect", "code": exc.code, "reason": exc.reason}

    async def _send(self, event: Event) -> None:
        """The app's `send`; raises an `OSError` when the client has gone, as ASGI wants it."""
        if event["type"] == "websocket.close":
            self._close(LinkClosed(event.get("reason") or "the app closed the connection", event.get("code", 1000)))
        else:
            await self._from_app.put(event)

    def _close(self, reason: LinkClosed) -> None:
        self._to_app.close(reason)
        self._from_app.close(reason)


async def open_inprocess(
    app: AsgiApp, path: str, headers: Mapping[str, str], subprotocols: tuple[str, ...]
) -> InProcessLink:
    """Open a WebSocket to `path` of `app`.

    Raises:
        LinkRefused: the app closed instead of accepting, or failed.
    """
    raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if not any(name == b"host" for name, _ in raw_headers):
        raw_headers.append((b"host", b"in-process"))
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw_headers,
        "client": ("in-process", 0),
        "server": ("in-process", 0),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    link = InProcessLink(app, scope)
    await link.handshake()
    return link
