"""Apps for the runner's tests: small, real, and misbehaving on purpose. Also a program: `runner_apps.py NAME`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from openenv_async.limits import Limits


class Core:
    """The shape of `app.server`: notes what happens, in order."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(grace_s=0.2, close_timeout_s=0.2)
        self.log: list[str] = []
        self.open: set[WebSocket] = set()

    async def drain(self, grace_s: float) -> None:
        self.log.append(f"drain {grace_s:g}")
        for socket in list(self.open):
            await socket.close(1012)


class StubbornCore(Core):
    """Drains for ever, whatever grace it is given."""

    async def drain(self, grace_s: float) -> None:
        self.log.append("drain")
        sys.stdout.write("draining\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


class App(Starlette):
    """Answers `GET /`, echoes sizes on `/ws`, streams for ever on `/stream`, hangs on `/hang`."""

    def __init__(self, core: Core | None = None) -> None:
        super().__init__(
            routes=[
                Route("/", self.hello),
                Route("/stream", self.stream),
                Route("/hang", self.hang),
                WebSocketRoute("/ws", self.sizes),
            ],
            lifespan=self.run,
        )
        self.server: Core = core or Core()
        self.in_hang = asyncio.Event()

    @asynccontextmanager
    async def run(self, _app: Starlette) -> AsyncIterator[None]:
        self.server.log.append("startup")
        yield
        self.server.log.append("shutdown")

    async def hello(self, _request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def hang(self, _request: Request) -> PlainTextResponse:
        self.in_hang.set()
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    async def stream(self, _request: Request) -> StreamingResponse:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)  # to a peer that has gone, Hypercorn's send returns at once: let others run

        return StreamingResponse(endless())

    async def sizes(self, socket: WebSocket) -> None:
        await socket.accept()
        self.server.open.add(socket)
        try:
            while True:
                await socket.send_text(str(len(await socket.receive_bytes())))
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            self.server.open.discard(socket)


class BlockedApp(App):
    """`/hang` holds the event loop itself, as code of an inline environment may."""

    async def hang(self, _request: Request) -> PlainTextResponse:
        sys.stdout.write("blocked\n")
        sys.stdout.flush()
        time.sleep(60)  # noqa: ASYNC251  - what this app is for
        return PlainTextResponse("never")


APPS: dict[str, Callable[[], App]] = {
    "app": App,
    "stubborn": lambda: App(StubbornCore(Limits(grace_s=50))),
    "blocked": BlockedApp,
}

if __name__ == "__main__":
    from openenv_async.server.runner import serve_app

    app = APPS[sys.argv[1]]()
    try:
        serve_app(app, port=0)
    finally:
        sys.stdout.write(f"{app.server.log}\n")
