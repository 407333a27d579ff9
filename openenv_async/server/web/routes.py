"""The routes of the web page: its files, and its few requests over HTTP."""

from __future__ import annotations

import inspect
import logging
import os
import re
import typing
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openenv_async.codec import codec_for
from openenv_async.environment import Environment
from openenv_async.errors import EnvError
from openenv_async.runtime.call_adapter import accepts
from openenv_async.runtime.rendering import may_draw
from openenv_async.server.server import Server
from openenv_async.server.web.files import PageFiles
from openenv_async.server.web.page_auth import LIFETIME_S

MOST_BYTES = 512 * 1024
_MANIFEST = "openenv.yaml"
_LEVELS = 3
_FRONT_MATTER = re.compile(r"\A---\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def find_readme(env_cls: type | None) -> str | None:
    """Return the text of the README beside the environment's manifest, or where an image has it; None without one.

    `ENV_README_PATH` names another file. The header that the Hub reads is left out.
    """
    named = os.environ.get("ENV_README_PATH")
    places = [Path(named)] if named else []
    places += [folder / "README.md" for folder in _folders(env_cls)]
    places += [Path("/app/env/README.md"), Path("/app/README.md")]
    for place in places:
        try:
            with place.open("rb") as file:
                text = file.read(MOST_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        return _FRONT_MATTER.sub("", text, count=1)
    return None


def _folders(env_cls: type | None) -> list[Path]:
    try:
        file = Path(inspect.getfile(env_cls)) if env_cls is not None else None
    except (OSError, TypeError):  # a class of the interpreter's, or typed into a prompt
        file = None
    parents = list(file.resolve().parents)[:_LEVELS] if file is not None else []
    return [folder for folder in parents if (folder / _MANIFEST).is_file()]


Schema = dict[str, Any]

_STANDARD: dict[str, Schema] = {
    "seed": {"type": ["integer", "null"], "minimum": 0, "default": None, "description": "Makes the episode repeatable"},
    "episode_id": {"type": ["string", "null"], "maxLength": 255, "default": None, "description": "Your name for it"},
}


def reset_schema(method: Callable[..., Any] | None) -> Schema:
    """Describe the keyword arguments of `reset`.

    Args:
        method: the plain function; None: not known, so that any argument is allowed.
    """
    if method is None:
        return {"type": "object", "properties": dict(_STANDARD), "additionalProperties": True}
    taken = accepts(method)
    properties: dict[str, Schema] = {
        name: schema for name, schema in _STANDARD.items() if taken.anything or name in taken.names
    }
    definitions: dict[str, Schema] = {}
    required = []
    hints = _hints(method)
    for name, parameter in _parameters(method).items():
        if name in _STANDARD or name not in taken.names or name == "self":
            continue
        properties[name] = _schema(hints.get(name, Any), definitions)
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is None or isinstance(parameter.default, (bool, int, float, str)):
            properties[name]["default"] = parameter.default
    schema = {"type": "object", "properties": properties, "additionalProperties": taken.anything}
    if required:
        schema["required"] = required
    if definitions:
        schema["$defs"] = definitions
    return schema


def _parameters(method: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(method).parameters)
    except (TypeError, ValueError):  # as in signatures.accepts
        return {}


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(method, include_extras=True)
    except Exception:  # annotations may name what only type checkers import
        return {}


def _schema(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    if annotation is Any:
        return {}
    try:
        schema = dict(codec_for(annotation).schema())
    except (EnvError, TypeError):
        return {}  # what has no schema can still be written as JSON
    definitions.update(schema.pop("$defs", {}))
    return schema


logger = logging.getLogger("openenv_async")

Schemas = Callable[[], dict[str, Any]]


class PageRoutes:
    """The handlers of one server's page.

    Args:
        server: the server of its sessions.
        capacity: answers `GET /capacity`.
        schemas: returns the JSON Schemas of action, observation and state.
        title: the page's title; by default the environment's name.
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
        """Return the routes; with `root`, also the redirects to the page."""
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
        """`GET /web/about.json`: what the page needs before it has a session."""
        if self._about is None:
            # It reads a file, and an author's annotations may do anything.
            self._about = await anyio.to_thread.run_sync(self._describe)
        return Response(self._about, media_type="application/json", headers={"cache-control": "no-store"})

    def _describe(self) -> bytes:
        blueprint = self._server.blueprint
        cls = blueprint.env_cls
        method = getattr(cls, "reset", None)
        over = getattr(cls, "reset_async", None)
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
        """`POST /web/ticket`: returns a ticket for one WebSocket; this request has the token."""
        tickets = self._server.page.tickets
        told = {"ticket": tickets.issue() if tickets is not None else None, "expires_in_s": LIFETIME_S}
        return JSONResponse(told, headers={"cache-control": "no-store"})


def lead(target: str) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that redirects to an address relative to its own, whatever prefix a proxy adds."""

    async def leading(request: Request) -> Response:
        return Response(None, 307, {"location": target})

    return leading
