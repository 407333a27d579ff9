"""What runs behind an OpenEnv app's routes: the runtime's `Server`, and environments for single requests.

Sessions over `/ws` and `/mcp` share one table and one cap. A plain HTTP request
plays in an environment of its own that lives as long as the request, as on
OpenEnv: it takes none of the sessions' slots.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from openenv_async.compat.server.auth import AppGuard
from openenv_async.compat.server.background_loop import Home
from openenv_async.compat.server.blueprints import OneThread, OpenEnvBlueprint
from openenv_async.compat.server.json_messages import OpenEnvMessages
from openenv_async.compat.server.sessions import Sessions
from openenv_async.compat.server.sockets import OwnConnection, serve_attached, serve_rpc
from openenv_async.errors import EnvError
from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import open_request_session
from openenv_async.server.json_ws import JsonConnection
from openenv_async.server.native import NativeConnection
from openenv_async.server.server import Server
from openenv_async.server.settings import Settings
from openenv_async.server.web.page_auth import SUBPROTOCOL as PAGE
from openenv_async.server.web.page_messages import PageMessages
from openenv_async.transport.link import Link, LinkClosed
from openenv_async.transport.ws_server import accept_link

MOST_REQUESTS = 1024
"""Plain HTTP requests that have an environment at the same time; one more is refused."""

logger = logging.getLogger("openenv_async.compat")


class Running:
    """The server behind one `HTTPEnvServer`, whatever apps its routes are in."""

    def __init__(self, blueprint: OpenEnvBlueprint, settings: Settings, idle_timeout_s: float | None) -> None:
        self.blueprint = blueprint
        self.server = Server(blueprint, settings)
        self.server.page.on = False  # until its routes are there: see `web_interface`
        self.dialect = OpenEnvMessages(idle_timeout_s)
        self.before_drain: list[Callable[[], Awaitable[None]]] = []
        """What else ends with the app's lifespan."""
        self.home = Home(self.drain)
        self.sessions = Sessions(self.server.registry, idle_timeout_s, self.home)
        # The server's blueprint, which knows its processes.
        self.requests = Registry(self.server.blueprint, settings.limits, MOST_REQUESTS)
        self.requests.observer = self.server.registry.observer

    async def once(self, call: Call) -> Outcome:
        """Do one call with an environment of its own, which is closed when this returns.

        Raises:
            Exception: what the environment or its factory raised, or an `EnvError` of the runtime's own.
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
        """Serve one connection to `/ws` to its end, on either wire."""
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
            await JsonConnection(self.server, link, PageMessages(self.dialect, idle_s)).run()
        else:
            await self._serve_json(link, websocket.query_params.get("session_id"))

    async def _serve_json(self, link: Link, attached_to: str | None) -> None:
        if attached_to:
            await serve_attached(link, attached_to, self.server, self.dialect, self.sessions)
        else:
            await OwnConnection(self.server, link, self.dialect, self.sessions).run()

    async def serve_rpc_socket(self, websocket: Any) -> None:
        """Serve one connection to `/mcp` to its end."""
        try:
            link = await accept_link(websocket.receive, websocket.send, None)
        except LinkClosed:
            return
        await serve_rpc(link, self.sessions)

    def start(self) -> None:
        """Take work (again)."""
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
        """Give a lifespan that runs another one inside this server's."""

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
    """Give what the HTTP server offers, unless a middleware may want to see what passes."""
    app = scope.get("app")
    if scope.get("root_path") or app is None:
        return None  # mounted: the middleware of the apps around it is not known
    classes = [middleware.cls for middleware in app.user_middleware]
    return scope.get("extensions") if all(_sees_http_only(cls) for cls in classes) else None


def _sees_http_only(cls: Any) -> bool:
    return cls in (AppGuard, CORSMiddleware, GZipMiddleware) or (
        isinstance(cls, type) and issubclass(cls, BaseHTTPMiddleware)
    )


def cause_of(error: EnvError) -> Exception:
    """Give what the environment raised, for the app's own handlers of exceptions; else the error itself."""
    cause = error.__cause__
    return cause if isinstance(cause, Exception) else error


def without_bound(settings: Settings) -> Settings:
    """Give an environment's constructor any time it takes, as OpenEnv does."""
    return dataclasses.replace(settings, limits=dataclasses.replace(settings.limits, create_timeout_s=None))
