"""A Hub of the suite's own: on loopback, under Hypercorn, in a thread of the test's process.

The real `huggingface_hub` client talks to it. What it refuses, it refuses with the
real one's statuses, codes and headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from support.hub import files, repos
from support.hub.answers import Refusal, on_refusal
from support.hub.store import Store

WAIT_S = 20.0


class Gate:
    """Before every answer: writes the request down, and refuses what no route gets to see."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        store = scope["app"].state.store
        store.requests.append((request.method, request.url.path))
        refusal = None
        if store.broken and store.broken in request.url.path:
            refusal = Refusal(503, "Service Unavailable")
        if int(request.headers.get("content-length", 0)) > store.body_limit:
            refusal = Refusal(413, f"Payload too large: the limit is {store.body_limit} bytes")
        if refusal is not None:
            async for _ in Request(scope, receive).stream():
                pass  # a client that still sends would see a broken pipe instead of the answer
            await (await on_refusal(request, refusal))(scope, receive, send)
            return
        await self.app(scope, receive, send)


def make_app(store: Store) -> Starlette:
    app = Starlette(routes=[*repos.ROUTES, *files.ROUTES], exception_handlers={HTTPException: on_refusal})
    app.add_middleware(Gate)
    app.state.store = store
    return app


class Hub:
    """A running Hub; `fresh()` forgets everything."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.url, self._storage = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._sockets)
        self.store = Store(self._storage)
        self._app = make_app(self.store)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="suite-hub", daemon=True)
        self._thread.start()

    def fresh(self) -> Hub:
        self._app.state.store = self.store = Store(self._storage)
        return self

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        config = Config()
        config.bind = [f"fd://{each.fileno()}" for each in self._sockets]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.1
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        # The socket listens already: whoever connects before Hypercorn accepts waits in its queue.
        await serve(self._app, config, shutdown_trigger=self._stop.wait)  # type: ignore[arg-type]

    def close(self) -> None:
        assert self._ready.wait(WAIT_S)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for each in self._sockets:
            with contextlib.suppress(OSError):  # Hypercorn has closed them
                each.close()


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()
