"""The routes of the web page: its files, and the few questions it asks over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openenv_async.environment import Environment
from openenv_async.runtime.drawing import may_draw
from openenv_async.server.core import Server
from openenv_async.server.web.arguments import reset_schema
from openenv_async.server.web.files import PageFiles
from openenv_async.server.web.readme import find_readme
from openenv_async.server.web.tickets import LIFETIME_S

logger = logging.getLogger("openenv_async")

Schemas = Callable[[], dict[str, Any]]


class PageRoutes:
    """The handlers of one server's page.

    Args:
        server: whose sessions it plays.
        capacity: answers `GET /capacity`.
        schemas: gives the JSON Schemas of action, observation and state.
        title: the page's; by default the environment's name.
        base: the class whose `render_web` and `web_actions` draw nothing.
    """

    def __init__(
        self,
        server: Server,
        capacity: Callable[[Request], Awaitable[Response]],
        schemas: Schemas,
        *,
        title: str | None = None,
        base: type = Environment,
    ) -> None:
        self._server, self._capacity, self._schemas, self._title, self._base = server, capacity, schemas, title, base
        self._files = PageFiles(server.settings.frame_ancestors)
        self._about: bytes | None = None

    def routes(self, *, root: bool = True) -> list[Route]:
        """Give the routes; with `root`, also what leads to the page."""
        leading = [Route("/", lead("web/")), Route("/web", lead("web/"))] if root else []
        return [
            *leading,
            Route("/web/", self._files.index),
            Route("/web/about.json", self.about),
            Route("/web/capacity.json", self._capacity),
            Route("/web/ticket", self.ticket, methods=["POST"]),
            Route("/web/{name:str}", self._files.file),
        ]

    async def about(self, request: Request) -> Response:
        """`GET /web/about.json`: what the page has to know before it has a session."""
        if self._about is None:
            # It reads a file, and an author's annotations may do anything.
            self._about = await anyio.to_thread.run_sync(self._describe)
        return Response(self._about, media_type="application/json", headers={"cache-control": "no-store"})

    def _describe(self) -> bytes:
        blueprint = self._server.blueprint
        cls = blueprint.env_cls
        method = None if cls is None else getattr(cls, "reset", None)
        over = None if cls is None else getattr(cls, "reset_async", None)
        if over is not None and over is not getattr(self._base, "reset_async", None):
            method = over
        told = {
            "name": blueprint.name,
            "title": self._title or blueprint.name,
            "schemas": {**self._known_schemas(), "reset": reset_schema(method)},
            "draws": may_draw(cls, (self._base,)),
            "readme": find_readme(cls),
        }
        return msgspec.json.encode(told)

    def _known_schemas(self) -> dict[str, Any]:
        try:
            return self._schemas()
        except Exception as exc:  # a class without a schema can still be played, by JSON
            logger.warning("the web page has no form for the actions of %s: %s", self._server.blueprint.name, exc)
            return {"action": {}, "observation": {}, "state": {}}

    async def ticket(self, request: Request) -> Response:
        """`POST /web/ticket`: lets one WebSocket through the token, which this request has shown."""
        tickets = self._server.page.tickets
        told = {"ticket": tickets.issue() if tickets is not None else None, "expires_in_s": LIFETIME_S}
        return JSONResponse(told, headers={"cache-control": "no-store"})


def lead(target: str) -> Callable[[Request], Awaitable[Response]]:
    """Give a handler that leads to an address relative to its own, under whatever prefix a proxy shows it."""

    async def leading(request: Request) -> Response:
        return Response(None, 307, {"location": target})

    return leading
