"""The runtime behind an OpenEnv app's routes: its `Server`, and environments for single requests.

Sessions over `/ws` and `/mcp` share one table and one limit. A plain HTTP request
plays in an environment of its own that lives as long as the request, as in OpenEnv,
and takes none of the sessions' slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from openenv_async.compat.server.auth import AppGuard
from openenv_async.compat.server.background_loop import BackgroundLoop
from openenv_async.compat.server.blueprints import OneThread, OpenEnvBlueprint
from openenv_async.compat.server.json_messages import OpenEnvMessages
from openenv_async.compat.server.sessions import OwnConnection, Sessions, serve_attached, serve_rpc
from openenv_async.errors import EnvError
from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import open_request_session
from openenv_async.server.json_ws import JsonConnection
from openenv_async.server.native import NativeConnection
from openenv_async.server.server import Server
from openenv_async.server.settings import ServerSettings
from openenv_async.server.web.page_auth import SUBPROTOCOL as PAGE
from openenv_async.server.web.page_messages import PageMessages
from openenv_async.transport.link import LinkClosed
from openenv_async.transport.ws_server import accept_link

MOST_REQUESTS = 1024
"""Plain HTTP requests that may have an environment at the same time; one more is refused."""


class Running:
    """The server behind one `HTTPEnvServer`, which may have its routes in several apps."""

    def __init__(self, blueprint: OpenEnvBlueprint, settings: ServerSettings, idle_timeout_s: float | None) -> None:
        self.blueprint = blueprint
        self.server = Server(blueprint, settings)
        self.server.page.on = False  # until `web_interface` adds the routes of the page
        self.messages = OpenEnvMessages(idle_timeout_s)
        self.before_drain: list[Callable[[], Awaitable[None]]] = []
        """Awaited when the app's lifespan ends."""
        self.home = BackgroundLoop(self.drain)
        self.sessions = Sessions(self.server.registry, idle_timeout_s, self.home)
        # The server's blueprint, not the argument: it has the process options.
        self.requests = Registry(self.server.blueprint, settings.limits, MOST_REQUESTS)
        self.requests.observer = self.server.registry.observer

    async def once(self, call: Call) -> Outcome:
        """Do one call in a new environment, which is closed when this returns.

        Raises:
            Exception: what the environment or its factory raised, or an `EnvError` of the runtime.
        """
        try:
            session = await open_request_session(self.requests)
            try:
                return await session.call(call)
            finally:
                await session.aclose()
        except EnvError as error:
            raise cause_of(error) from None

    async def serve_socket(self, websocket: Any) -> None:
        """Serve one connection to `/ws` until it ends, on either wire."""
        offered = websocket.scope.get("subprotocols", ())
        native = SUBPROTOCOL in offered
        page = not native and self.server.page.speaks(offered)
        protocol = SUBPROTOCOL if native else PAGE if page else None
        try:
            link = await accept_link(websocket.receive, websocket.send, protocol, _extensions(websocket.scope))
        except LinkClosed:
            return
        if native:
            await NativeConnection(self.server, link).run()
        elif page:
            idle_s = self.server.limits.page_idle_timeout_s
            await JsonConnection(self.server, link, PageMessages(self.messages, idle_s)).run()
        else:
            attached_to = websocket.query_params.get("session_id")
            if attached_to:
                await serve_attached(link, attached_to, self.server, self.messages, self.sessions)
            else:
                await OwnConnection(self.server, link, self.messages, self.sessions).run()

    async def serve_rpc_socket(self, websocket: Any) -> None:
        """Serve one connection to `/mcp` until it ends."""
        try:
            link = await accept_link(websocket.receive, websocket.send, None)
        except LinkClosed:
            return
        await serve_rpc(link, self.sessions)

    def start(self) -> None:
        """Accept work, after `drain` too."""
        self.home.begin()
        self.server.start()
        self.requests.closing = False
        self.requests.observer = self.server.registry.observer

    async def drain(self) -> None:
        """Let calls finish, close every environment and every socket."""
        for end in self.before_drain:
            await end()
        await asyncio.gather(self.server.drain(), self.requests.drain(self.server.limits.grace_s))
        if isinstance(self.blueprint.threads, OneThread):
            self.blueprint.threads.end()
        self.home.end()

    def lifespan_around(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a lifespan that runs another one inside this server's."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            self.start()
            try:
                async with inner(app) as state:
                    yield state
            finally:
                await self.drain()

        return lifespan


def _extensions(scope: Any) -> Any:
    """Return the HTTP server's extensions, unless a middleware may have to see the messages."""
    app = scope.get("app")
    if scope.get("root_path") or app is None:
        return None  # mounted: the middleware of the outer apps is not known
    classes = [middleware.cls for middleware in app.user_middleware]
    return scope.get("extensions") if all(_sees_http_only(cls) for cls in classes) else None


def _sees_http_only(cls: Any) -> bool:
    return cls in (AppGuard, CORSMiddleware, GZipMiddleware) or (
        isinstance(cls, type) and issubclass(cls, BaseHTTPMiddleware)
    )


def cause_of(error: EnvError) -> Exception:
    """Return what the environment raised, for the app's exception handlers; else the error itself."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) else error


def without_bound(settings: ServerSettings) -> ServerSettings:
    """Return settings without a time limit on an environment's constructor, as OpenEnv has none."""
    return dataclasses.replace(settings, limits=dataclasses.replace(settings.limits, create_timeout_s=None))
