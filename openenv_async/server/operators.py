"""Routes for operators: `GET /sessions` and `DELETE /sessions/{id}`.

An operator has the server's token or, where the server has none, the key of its start: see `security` and
`operator_key`. `server.session_listing` writes the list, `runtime.registry` ends sessions.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from openenv_async.errors import SessionLost
from openenv_async.runtime.session import Session
from openenv_async.server.security import OPERATOR
from openenv_async.server.server import Server
from openenv_async.server.session_listing import MOST_LISTED, SORTS, ListQuery, list_sessions

logger = logging.getLogger("openenv_async")

CLOSED_BY_OPERATOR = "the session was closed by the server's operator"


class BadQuery(Exception):
    """The query is invalid; the text says why."""


def operator_routes(server: Server) -> list[Route]:
    """Return the routes for a server's operators."""
    operators = Operators(server)
    return [
        Route("/sessions", operators.list_sessions, methods=["GET"]),
        Route("/sessions/{session_id}", operators.close_session, methods=["DELETE"]),
    ]


class Operators:
    """The handlers of the operators' routes."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def list_sessions(self, request: Request) -> Response:
        """`GET /sessions?limit=100&offset=0&sort=age`: list the sessions."""
        if not request.scope.get(OPERATOR):
            return _forbidden()
        try:
            query = _query(request.query_params)
        except BadQuery as exc:
            return _refused(422, "VALIDATION_ERROR", str(exc))
        return Response(msgspec.json.encode(await list_sessions(self._server, query)), media_type="application/json")

    async def close_session(self, request: Request) -> Response:
        """`DELETE /sessions/{id}?grace_s=10`: end a session; answers when its slot is free."""
        if not request.scope.get(OPERATOR):
            return _forbidden()
        name = request.path_params["session_id"]
        try:
            grace_s = _grace(request.query_params, self._server.limits.close_timeout_s)
        except BadQuery as exc:
            return _refused(422, "VALIDATION_ERROR", str(exc))
        session = self._server.registry.sessions.get(name)
        if session is None:
            text = f"there is no session {name[:64]!r}: it has ended or never was; GET /sessions lists those there are"
            return _refused(404, "SESSION_LOST", text)
        doing = None if session.flight.call is None else session.flight.kind
        logger.info("session %s is closed by an operator%s", name, f", in its {doing}()" if doing else "")
        given_up = await self._evict(session, SessionLost(CLOSED_BY_OPERATOR, closed_by="operator"), grace_s)
        told = {"id": name, "closed": True, "call": doing, "given_up": given_up}
        return Response(msgspec.json.encode(told), media_type="application/json")

    async def _evict(self, session: Session, reason: SessionLost, grace_s: float) -> bool:
        """End a session on its own event loop, which may be another than the request's."""
        evict = self._server.registry.evict(session, reason, grace_s)
        loop = session.task.get_loop() if session.task is not None else None
        if loop is None or loop is asyncio.get_running_loop():
            return await evict
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(evict, loop))


def _query(query: Mapping[str, str]) -> ListQuery:
    unknown = sorted(query.keys() - {"limit", "offset", "sort"})
    if unknown:
        raise BadQuery(f"/sessions takes limit, offset and sort, not {unknown[0][:40]!r}")
    sort = query.get("sort", SORTS[0])
    if sort not in SORTS:
        raise BadQuery(f"sort must be one of {', '.join(SORTS)}, not {sort[:40]!r}")
    return ListQuery(_whole(query, "limit", 100, 1, MOST_LISTED), _whole(query, "offset", 0, 0, 2**31), sort)


def _whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, str(default))
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1
    if not least <= value <= most:
        raise BadQuery(f"{name} must be a whole number from {least} to {most}, not {text[:40]!r}")
    return value


def _grace(query: Mapping[str, str], default_s: float) -> float:
    text = query.get("grace_s")
    try:
        value = default_s if text is None else float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise BadQuery(f"grace_s must be a number of seconds from 0 to 3600, not {str(text)[:40]!r}")
    return value


def _forbidden() -> Response:
    text = (
        "only an operator may list and end sessions: ask with `openenv top` or `openenv sessions` on the server's own "
        "machine, as its user, or give the server a token (--token or OPENENV_TOKEN) and send it"
    )
    return _refused(403, "FORBIDDEN", text)


def _refused(status: int, code: str, text: str) -> Response:
    body: dict[str, Any] = {"detail": text, "code": code, "message": text}
    return Response(msgspec.json.encode(body), status, media_type="application/json")
