"""The sessions of one server by their ids, and the `/ws` and `/mcp` connections that play in them.

A session that `openenv/session/create` opened over HTTP lives until it is closed or
idle for too long; one WebSocket at a time may attach to it. The session of a `/ws`
connection ends with it; other callers may use its tools meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from openenv_async.compat.server.background_loop import BackgroundLoop, at
from openenv_async.compat.server.json_messages import OpenEnvMessages
from openenv_async.compat.server.mcp_types import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse
from openenv_async.compat.server.tools import read_request
from openenv_async.errors import CapacityError, EnvError, FactoryError, InvalidMessage, SessionLost
from openenv_async.protocol.error_mapping import safe_text
from openenv_async.protocol.openenv_json import JsonRequest
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import RequestSession, open_request_session
from openenv_async.runtime.session import Session
from openenv_async.server.json_messages import JsonMessages
from openenv_async.server.json_ws import JsonConnection
from openenv_async.server.server import Server
from openenv_async.transport.link import Link, LinkClosed, Message

CREATE = "openenv/session/create"
CLOSE = "openenv/session/close"


class Playable(Protocol):
    """A session that can be called by its id."""

    @property
    def id(self) -> str:
        """The session's id."""

    async def call(self, call: Call) -> Outcome:
        """Do one call, in its turn.

        Raises:
            EnvError: the call failed.
        """


class KeptSession(Playable):
    """A session that outlives the request that opened it; its callers take turns."""

    def __init__(self, direct: RequestSession) -> None:
        self._direct = direct
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self.attached = False
        self.closing = False

    @property
    def id(self) -> str:
        return self._direct.id

    async def call(self, call: Call) -> Outcome:
        return await at(self._loop, lambda: self._call(call))

    async def _call(self, call: Call) -> Outcome:
        async with self._turn:
            return await self._direct.call(call)

    async def hold(self, idle_timeout_s: float | None) -> None:
        """Change how long the session may be idle, in seconds; None: for ever."""
        await at(self._loop, lambda: self._hold(idle_timeout_s))

    async def _hold(self, idle_timeout_s: float | None) -> None:
        session = self._direct.session
        if session is not None:
            session.limit_idle(idle_timeout_s)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._direct.over.done()

    async def aclose(self) -> None:
        """Close the session; returns when its slot is free."""
        await at(self._loop, self._direct.aclose)


class Sessions:
    """The table of sessions, and the session methods of JSON-RPC.

    Args:
        registry: gives the slots.
        idle_timeout_s: seconds without a call after which a kept session ends; None: never.
        home: where kept sessions live.
    """

    def __init__(self, registry: Registry, idle_timeout_s: float | None, home: BackgroundLoop) -> None:
        self._registry, self.idle_timeout_s, self._home = registry, idle_timeout_s, home
        self._kept: dict[str, KeptSession] = {}
        self._owned: dict[str, Playable] = {}

    async def create(self) -> KeptSession:
        """Open a session that outlives its request.

        Raises:
            EnvError: there is no free slot, or the factory failed.
        """
        return await at(self._home.loop, self._create)

    async def _create(self) -> KeptSession:
        direct = await open_request_session(self._registry, self.idle_timeout_s)
        kept = KeptSession(direct)
        name = kept.id
        self._kept[name] = kept
        direct.over.add_done_callback(lambda _: self._kept.pop(name, None))
        return kept

    def own(self, name: str, session: Playable) -> None:
        """Add the session of a WebSocket, which ends with the WebSocket."""
        self._owned[name] = session

    def disown(self, name: str) -> None:
        """Remove the session of a WebSocket."""
        self._owned.pop(name, None)

    def find(self, name: str) -> Playable | None:
        """Return the session with this id."""
        return self._kept.get(name) or self._owned.get(name)

    async def attach(self, name: str) -> Playable:
        """Reserve a session for one WebSocket until `detach`.

        Raises:
            SessionLost: there is none with this id, or another WebSocket is attached.
        """
        kept = self._kept.get(name)
        if kept is None and name not in self._owned:
            raise SessionLost(f"Unknown session_id: {name}")
        if kept is None or kept.attached:
            raise SessionLost(f"Session {name} already has an attached WebSocket")
        kept.attached = True
        await kept.hold(None)
        return kept

    async def detach(self, name: str) -> None:
        """Release a session; one that was to be closed meanwhile is closed now."""
        kept = self._kept.get(name)
        if kept is None:
            return
        kept.attached = False
        if kept.closing:
            await asyncio.shield(kept.aclose())
        else:
            await kept.hold(self.idle_timeout_s)

    async def answer(self, request: JsonRpcRequest, own: str | None) -> JsonRpcResponse | None:
        """Answer a session method of JSON-RPC; None for any other method.

        Args:
            request: the request.
            own: the id of the session on whose connection it came; None over HTTP.
        """
        if request.method == CREATE:
            return await self._created(request, own)
        if request.method == CLOSE:
            return await self._closed(request, own)
        return None

    async def _created(self, request: JsonRpcRequest, own: str | None) -> JsonRpcResponse:
        if own is not None:
            return JsonRpcResponse.success({"session_id": own}, request_id=request.id)
        try:
            kept = await self.create()
        except EnvError as error:
            return refused(error, request.id)
        return JsonRpcResponse.success({"session_id": kept.id}, request_id=request.id)

    async def _closed(self, request: JsonRpcRequest, own: str | None) -> JsonRpcResponse:
        name = request.params.get("session_id")
        if not name:
            return _wrong(request, JsonRpcErrorCode.INVALID_PARAMS, "Invalid params - 'session_id' is required")
        if name == own:
            text = "Cannot close active WebSocket-managed session via MCP method"
            return _wrong(request, JsonRpcErrorCode.INVALID_REQUEST, text)
        kept = self._kept.get(name) if isinstance(name, str) else None
        if kept is None:
            if isinstance(name, str) and name in self._owned:
                text = f"Session {name} belongs to a WebSocket and ends with it"
                return _wrong(request, JsonRpcErrorCode.INVALID_REQUEST, text)
            return _wrong(request, JsonRpcErrorCode.INVALID_PARAMS, f"Unknown session_id: {name}")
        if kept.attached:
            kept.closing = True
            result = {"session_id": name, "closed": False, "closing": True}
        else:
            await kept.aclose()
            result = {"session_id": name, "closed": True}
        return JsonRpcResponse.success(result, request_id=request.id)


def refused(error: EnvError, request_id: str | int | None = None) -> JsonRpcResponse:
    """Return the answer to a request for a session that was refused."""
    data = None
    if isinstance(error, CapacityError):
        data = {name: error.details.get(name) for name in ("active_sessions", "max_sessions")}
    elif isinstance(error, FactoryError):
        data = {"factory_name": error.details.get("factory_name")}
    return JsonRpcResponse.error_response(JsonRpcErrorCode.SERVER_ERROR, error.message, data, request_id)


def rpc_call(request: JsonRpcRequest) -> Call:
    """Return the call that answers a request about tools."""
    return Call("mcp", json.dumps(request.model_dump()).encode(), Wire.JSON)


def _wrong(request: JsonRpcRequest, code: JsonRpcErrorCode, text: str) -> JsonRpcResponse:
    return JsonRpcResponse.error_response(code, text, request_id=request.id)


class OwnConnection(JsonConnection, Playable):
    """A `/ws` connection with its own session, whose tools other callers may use by its id."""

    def __init__(self, server: Server, link: Link, messages: OpenEnvMessages, sessions: Sessions) -> None:
        super().__init__(server, link, messages)
        self._sessions = sessions
        self._foreign: dict[int, asyncio.Future[Outcome]] = {}
        self._last_foreign = 0
        self._loop = asyncio.get_running_loop()

    @property
    def id(self) -> str:
        return self._session.id if self._session is not None else ""

    async def call(self, call: Call) -> Outcome:
        return await at(self._loop, lambda: self._call(call))

    async def _call(self, call: Call) -> Outcome:
        if self._session is None:
            raise SessionLost("the session has ended")
        # Negative, so that it differs from the connection's own request numbers.
        self._last_foreign -= 1
        rid = self._last_foreign
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._foreign[rid] = waiter
        self._session.submit(rid, call)
        try:
            return await waiter
        finally:
            self._foreign.pop(rid, None)

    def _received(self, message: Message) -> None:
        request = _session_request(self._messages, message)
        if request is None or self._session is None:
            super()._received(message)
        else:
            self._pause_for(self._answer(request, self._session.id))

    async def _answer(self, request: JsonRpcRequest, session_id: str) -> None:
        answer = await self._sessions.answer(request, session_id)
        if answer is not None and self._session is not None:
            self._submit("mcp", Outcome(written(answer)))

    def opened(self, session: Session) -> None:
        self._sessions.own(session.id, self)
        super().opened(session)

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        if rid > 0:
            return super().deliver(session, rid, outcome)
        waiter = self._foreign.get(rid)
        if waiter is not None and not waiter.done():
            if isinstance(outcome, BaseException):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)
        return None

    def ended(self, session: Session, error: BaseException | None) -> None:
        self._sessions.disown(session.id)
        for waiter in self._foreign.values():
            if not waiter.done():
                waiter.set_exception(error or SessionLost("the session has ended"))
        super().ended(session, error)


async def serve_attached(link: Link, name: str, server: Server, messages: OpenEnvMessages, sessions: Sessions) -> None:
    """Serve a `/ws` connection that plays in the session with this id; the session outlives it."""
    try:
        session = await sessions.attach(name)
    except SessionLost as error:
        frame = {"type": "error", "data": {"message": error.message, "code": "SESSION_ERROR"}}
        await link.send(json.dumps(frame, separators=(",", ":")))
        await link.aclose()
        return
    try:
        while (text := await _answer_attached(await link.receive(), session, server, messages, sessions)) is not None:
            await link.send(text)
    except LinkClosed:
        pass
    finally:
        await sessions.detach(name)
        await link.aclose()


async def _answer_attached(
    message: Message, session: Playable, server: Server, messages: OpenEnvMessages, sessions: Sessions
) -> str | None:
    """Return the answer to one message; None for a close message."""
    try:
        rpc = _session_request(messages, message)
        answer = await sessions.answer(rpc, session.id) if rpc is not None else None
        if answer is not None:
            return messages.answer("mcp", Outcome(written(answer)))
        request = messages.read(message)
        if request.kind == "close":
            return None
        asked = messages.call(request, server.limits)
        outcome = await session.call(asked) if isinstance(asked, Call) else asked
        return messages.answer(request.kind, outcome)
    except Exception as exc:  # every failure is answered; the runtime logs its own bugs
        return messages.failure(exc)


async def serve_rpc(link: Link, sessions: Sessions) -> None:
    """Serve a connection to `/mcp`: JSON-RPC messages about a session of its own."""
    try:
        async with _own_session(sessions) as session:
            while True:
                await link.send(written(await _answer_rpc(await link.receive(), session, sessions)).decode())
    except LinkClosed:
        pass
    except EnvError as error:
        await link.send(written(refused(error)).decode())
    finally:
        await link.aclose()


@asynccontextmanager
async def _own_session(sessions: Sessions) -> AsyncIterator[Any]:
    session = await sessions.create()
    session.attached = True
    await session.hold(None)
    try:
        yield session
    finally:
        await asyncio.shield(session.aclose())


async def _answer_rpc(message: Message, session: Playable, sessions: Sessions) -> JsonRpcResponse | bytes:
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as exc:
        return JsonRpcResponse.error_response(JsonRpcErrorCode.PARSE_ERROR, f"Parse error: {exc}")
    request = read_request(fields)
    if isinstance(request, JsonRpcResponse):
        return request
    return await sessions.answer(request, session.id) or await ask_session(session, request)


async def ask_session(session: Playable, request: JsonRpcRequest) -> JsonRpcResponse | bytes:
    """Ask a session about its tools; a failure is an answer too."""
    try:
        return (await session.call(rpc_call(request))).data
    except EnvError as error:
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INTERNAL_ERROR, safe_text(error), request_id=request.id)


def written(answer: JsonRpcResponse | bytes) -> bytes:
    """Return the bytes of an answer; answers of environments are bytes already."""
    return answer if isinstance(answer, bytes) else msgspec.json.encode(answer.model_dump())


def _session_request(messages: JsonMessages, message: Message) -> JsonRpcRequest | None:
    """Return the JSON-RPC request of a message that asks for a session method; None for any other message."""
    if not isinstance(message, str) or "openenv/session" not in message:
        return None
    try:
        request: JsonRequest = messages.read(message)
        rpc = read_request(json.loads(bytes(request.data))) if request.kind == "mcp" else None
    except (InvalidMessage, ValueError):
        return None  # the next reader reports what is wrong
    return rpc if isinstance(rpc, JsonRpcRequest) and rpc.method in (CREATE, CLOSE) else None
