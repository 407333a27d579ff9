"""The client's end of a WebSocket to an ASGI app in the same process and event loop: no socket.

The app sees a real `websocket` scope and cannot tell the difference. Queues are
bounded both ways, so a slow reader slows the writer, as a socket would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from openenv_async.transport.asgi import Event, Receive, Send
from openenv_async.transport.link import LinkClosed, LinkRefused, Message

AsgiApp = Callable[[Any, Receive, Send], Awaitable[None]]


class InProcessLink:
    """One WebSocket into an app. Make it with `open_inprocess()`."""

    def __init__(self, capacity: int = 64) -> None:
        self.subprotocol: str | None = None
        self.to_app: asyncio.Queue[Event] = asyncio.Queue(capacity)
        self.from_app: asyncio.Queue[Event] = asyncio.Queue(capacity)
        self._closed: LinkClosed | None = None
        self._task: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """See `Link.send`."""
        if self._closed is not None:
            raise self._closed
        event: Event = {"type": "websocket.receive"}
        event["bytes" if isinstance(message, bytes) else "text"] = message
        await self.to_app.put(event)

    async def receive(self) -> Message:
        """See `Link.receive`."""
        if self._closed is not None:
            raise self._closed
        event = await self.from_app.get()
        if event["type"] == "websocket.close":
            self._closed = LinkClosed(event.get("reason") or "the app closed the connection", event.get("code", 1000))
            raise self._closed
        data = event.get("bytes")
        return bytes(data) if data is not None else str(event["text"])

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        self._closed = self._closed or LinkClosed("closed by this client", code)
        task = self._task
        if task is None or task.done():
            return
        # The app may be blocked writing to a queue that nobody reads any longer.
        while not self.from_app.empty():
            self.from_app.get_nowait()
        if self.to_app.full():
            self.to_app.get_nowait()
        self.to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        await asyncio.wait([task], timeout=5)
        task.cancel()

    def run(self, app: AsgiApp, scope: dict[str, Any]) -> None:
        """Start the app's side."""
        self._task = asyncio.get_running_loop().create_task(self._serve(app, scope), name="openenv in-process app")

    async def _serve(self, app: AsgiApp, scope: dict[str, Any]) -> None:
        reason = "the app ended the connection"
        try:
            await app(scope, self.to_app.get, self.from_app.put)
        except Exception as exc:
            reason = f"the app failed: {type(exc).__name__}: {exc}"
        if self._closed is None:
            await self.from_app.put({"type": "websocket.close", "code": 1011, "reason": reason})


async def open_inprocess(
    app: AsgiApp, path: str, headers: Mapping[str, str], subprotocols: tuple[str, ...]
) -> InProcessLink:
    """Open a WebSocket to `path` of `app`.

    Raises:
        LinkRefused: the app closed instead of accepting.
    """
    link = InProcessLink()
    raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
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
        "extensions": {},
        "state": {},
    }
    link.run(app, scope)
    await link.to_app.put({"type": "websocket.connect"})
    event = await link.from_app.get()
    if event["type"] != "websocket.accept":
        await link.aclose()
        raise LinkRefused(event.get("reason") or "the app refused the connection", 403)
    link.subprotocol = event.get("subprotocol")
    return link
