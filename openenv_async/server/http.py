"""The HTTP routes: OpenEnv's, and sessions over plain requests.

Without `x-session-id` a request gets an environment of its own, as in OpenEnv. A reset keeps its environment and
names the session in that header; requests with that header go to it until `DELETE /session`, or until the session
has been idle for `Limits.http_idle_timeout_s`.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from openenv_async.errors import EnvError, InvalidMessage, InvalidPayload, SessionLost
from openenv_async.limits import Limits
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.error_mapping import describe
from openenv_async.protocol.openenv_json import read_object
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.request_session import RequestSession, open_request_session
from openenv_async.server.server import Server
from openenv_async.transport.byte_counters import Traffic


class RequestBodies:
    """Reader of one server's request bodies."""

    def __init__(self, limits: Limits, traffic: Traffic) -> None:
        self._limits, self._traffic = limits, traffic
        self._arriving = 0

    async def read(self, request: Request) -> bytes:
        """Return a whole body, without the space around it; an empty one is an empty object.

        Raises:
            PayloadTooLarge: it is larger than a message may be.
            HTTPException: 408 if it takes too long; 503 if other bodies that are arriving leave no room for it.
        """
        limit = self._limits.max_message_bytes
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > limit:
            raise too_large(int(told), limit)
        parts: list[bytes] = []
        patience_s = self._limits.body_timeout_s
        try:
            async with asyncio.timeout(patience_s):
                return await self._whole(request, parts, limit)
        except TimeoutError:
            text = f"the body did not arrive within {patience_s:g} s (body_timeout_s)"
            raise HTTPException(408, text, {"connection": "close"}) from None
        finally:
            self._arriving -= sum(map(len, parts))

    async def _whole(self, request: Request, parts: list[bytes], limit: int) -> bytes:
        size, most = 0, self._limits.max_connection_bytes
        async for part in request.stream():
            size += len(part)
            self._traffic.received += len(part)
            if size > limit:
                raise too_large(size, limit, "or more ")
            # A single body may always arrive, whatever the limits.
            if self._arriving + len(part) > most and self._arriving + len(part) > size:
                text = f"the bodies that are arriving hold {self._arriving:,} bytes; the limit is {most:,} bytes"
                headers = {"connection": "close", "retry-after": "1"}
                raise HTTPException(503, f"{text} (max_connection_bytes)", headers)
            self._arriving += len(part)
            parts.append(part)
        return b"".join(parts).strip() or b"{}"


SESSION_HEADER = "x-session-id"
REQUEST_HEADER = "x-request-id"
"""Response header: the request's number in its session, which is also in the log."""

STATUS = {
    "INVALID_JSON": 422,
    "VALIDATION_ERROR": 422,
    "UNKNOWN_TYPE": 422,
    "PAYLOAD_TOO_LARGE": 413,
    "EXECUTION_ERROR": 500,
    "FACTORY_ERROR": 500,
    "TIMEOUT": 504,
    "CAPACITY_REACHED": 503,
    "SERVER_CLOSING": 503,
    "SESSION_LOST": 404,
    "USAGE": 409,
}
"""The HTTP status of each error code; 500 for the others."""

_STEP_KEYS = frozenset({"action", "timeout_s", "request_id"})
_MOST_TOLD = 8


Handler = Callable[["HttpRoutes", Request], Awaitable[Response]]


def answered(handler: Handler) -> Handler:
    """Decorate a handler: its errors are answered, and its traffic is counted."""

    @functools.wraps(handler)
    async def answer(routes: HttpRoutes, request: Request) -> Response:
        traffic = routes.traffic
        traffic.connections += 1
        try:
            response = await handler(routes, request)
        except HTTPException:
            raise
        except ClientDisconnect:
            return Response(status_code=400)  # the client left before its request was whole, and does not read this
        except Exception as exc:  # every failure has an answer; a bug of the runtime is logged by `describe`
            response = _failure(exc)
        traffic.sent += len(response.body)
        return response

    return answer


class HttpRoutes:
    """The handlers behind the HTTP routes of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions: dict[str, RequestSession] = {}
        self.traffic = server.traffic["http"]
        self._bodies = RequestBodies(server.limits, self.traffic)

    async def health(self, request: Request) -> Response:
        """`GET /health`: the server answers."""
        return _json(b'{"status":"healthy"}')

    async def capacity(self, request: Request) -> Response:
        """`GET /capacity`: how full the server is; seconds for times."""
        registry, limits = self._server.registry, self._server.limits
        slots = registry.slots
        told = {
            "active": slots.held,
            "max": slots.total,
            "waiting": slots.waiting,
            "available": max(0, slots.total - slots.held),
            "queue_timeout_s": limits.queue_timeout_s,
            "retry_after_s": slots.retry_after_s(),
            "closing": registry.closing,
            "states": registry.by_state(),
        }
        return _json(msgspec.json.encode(told))

    async def schema(self, request: Request) -> Response:
        """`GET /schema`: the JSON Schemas of action, observation and state."""
        schemas = self.schemas()
        return _json(msgspec.json.encode({**schemas, "reset_observation": schemas["observation"]}))

    def schemas(self) -> dict[str, Any]:
        """Return the JSON Schemas of action, observation and state."""
        blueprint = self._server.blueprint
        return {
            "action": blueprint.action.schema(),
            "observation": blueprint.observation.model.schema(),
            "state": blueprint.state.schema(),
        }

    @answered
    async def metadata(self, request: Request) -> Response:
        """`GET /metadata`: the environment's description of itself."""
        return await self._once(Call("metadata", b"", Wire.HTTP, self._server.limits.state_timeout_s))

    @answered
    async def state(self, request: Request) -> Response:
        """`GET /state`: of the session named in the header, or of a fresh environment."""
        return await self._call(request, Call("state", b"", Wire.HTTP, self._server.limits.state_timeout_s))

    @answered
    async def reset(self, request: Request) -> Response:
        """`POST /reset`: the body's keys are the arguments; answers with `x-session-id`."""
        body = await self._bodies.read(request)
        _fields(body)  # before an environment is built for it
        call = Call("reset", body, Wire.HTTP)
        session = self._named(request)
        if session is not None:
            return _outcome(await session.call(call), session)
        session = await open_request_session(self._server.registry, self._server.limits.http_idle_timeout_s)
        try:
            outcome = await session.call(call)
        except BaseException:
            # The client does not learn the id of a session whose reset failed.
            await session.aclose()
            raise
        self._keep(session)
        return _outcome(outcome, session)

    @answered
    async def step(self, request: Request) -> Response:
        """`POST /step`: `{"action": {...}, "timeout_s": seconds}`."""
        fields = _fields(await self._bodies.read(request))
        action, raw_timeout = fields.get("action"), fields.get("timeout_s")
        if action is None or bytes(action).lstrip()[:1] != b"{":
            problem = "missing" if action is None else "dict_type"
            raise InvalidPayload(
                "the body needs `action`: an object",
                path="action",
                errors=[{"type": problem, "loc": ["body", "action"], "msg": "`action` must be an object"}],
            )
        call = Call("step", action, Wire.HTTP, None if raw_timeout is None else _timeout(raw_timeout))
        unknown = fields.keys() - _STEP_KEYS
        return await self._call(request, call, _ignored(unknown) if unknown else ())

    @answered
    async def end(self, request: Request) -> Response:
        """`DELETE /session`: end the session named in the header."""
        session = self._named(request)
        if session is None:
            text = f"name the session to end in the {SESSION_HEADER} header"
            raise InvalidPayload(text, path=SESSION_HEADER)
        await session.aclose()
        return Response(status_code=204)

    async def _call(self, request: Request, call: Call, ignored: tuple[str, ...] = ()) -> Response:
        session = self._named(request)
        if session is None:
            return await self._once(call, ignored)
        return _outcome(await session.call(call), session, ignored)

    async def _once(self, call: Call, ignored: tuple[str, ...] = ()) -> Response:
        session = await open_request_session(self._server.registry)
        try:
            return _outcome(await session.call(call), None, ignored)
        finally:
            await session.aclose()

    def _keep(self, session: RequestSession) -> None:
        name = session.id
        self._sessions[name] = session
        session.over.add_done_callback(lambda _: self._sessions.pop(name, None))

    def _named(self, request: Request) -> RequestSession | None:
        name = request.headers.get(SESSION_HEADER)
        if name is None:
            return None
        session = self._sessions.get(name)
        if session is None:
            raise SessionLost(f"no session {name[:64]!r}: it has ended or never was; POST /reset to begin another")
        return session


def _fields(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return read_object(body.decode())
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"Invalid JSON: the body is not UTF-8: {exc.reason}") from exc
    except InvalidPayload as exc:
        problem = {"type": "dict_type", "loc": ["body"], "msg": exc.message}
        raise InvalidPayload("the body must be a JSON object", errors=[problem]) from exc


def _ignored(unknown: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{key[:40]!r} is ignored: a step takes no such argument" for key in sorted(unknown)[:_MOST_TOLD])


def _timeout(raw: msgspec.Raw) -> float | None:
    try:
        value = msgspec.json.decode(raw, type=float | None)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise InvalidPayload(f"timeout_s: {exc}", path="timeout_s") from exc
    if value is not None and not value > 0:
        raise InvalidPayload("timeout_s must be more than 0 seconds", path="timeout_s")
    return value


def _outcome(outcome: Outcome, session: RequestSession | None = None, ignored: tuple[str, ...] = ()) -> Response:
    headers = {SESSION_HEADER: session.id, REQUEST_HEADER: str(session.request_id)} if session else {}
    if warnings := outcome.warnings + ignored:
        headers["x-openenv-warning"] = "; ".join(warnings).encode("ascii", "replace").decode()
    return _json(outcome.data, headers=headers)


def _failure(exc: Exception) -> Response:
    what = describe(exc)
    status = STATUS.get(what.code, 500)
    detail: Any = what.message
    if status == 422:
        # As FastAPI's: a list of problems, also where there is only one.
        loc = ["body", *filter(None, [what.details.get("path")])]
        kind = "json_invalid" if what.code == "INVALID_JSON" else "value_error"
        detail = what.details.get("errors") or [{"type": kind, "loc": loc, "msg": what.message}]
    body = {"detail": detail, "code": what.code, "message": what.message, **what.details}
    headers = {}
    if isinstance(exc, EnvError) and exc.retryable:
        headers["retry-after"] = str(math.ceil(what.details.get("retry_after_s", 1)))
    return _json(msgspec.json.encode(body), status, headers)


async def plain_failure(request: Request, exc: Exception) -> Response:
    """Answer errors from outside the routes: no such path or method, a class without a JSON Schema."""
    if request.scope["type"] != "http":
        raise exc
    if isinstance(exc, HTTPException):
        return _json(msgspec.json.encode({"detail": exc.detail}), exc.status_code, dict(exc.headers or {}))
    what = describe(exc)
    return _json(msgspec.json.encode({"detail": what.message, "code": what.code}), 500)


def _json(data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(data, status, headers, media_type="application/json")
