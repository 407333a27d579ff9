"""The sessions of one server by their ids, whichever way they came: over `/ws`, over `/mcp`, or by request.

A session that `openenv/session/create` made over HTTP lives until it is closed or
idle for too long; one WebSocket at a time may attach to it. Owns that table and
the session methods of JSON-RPC; `mcp_routes` and `sockets` own the connections.
"""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

from openenv_async.compat.server.background_loop import Home, at
from openenv_async.compat.server.jsonrpc import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse
from openenv_async.errors import CapacityError, EnvError, FactoryError, SessionLost
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import RequestSession, open_request_session

CREATE = "openenv/session/create"
CLOSE = "openenv/session/close"


class Playable(Protocol):
    """A session that can be asked by its id."""

    @property
    def id(self) -> str:
        """Its name."""

    async def call(self, call: Call) -> Outcome:
        """Do one call, in its turn.

        Raises:
            EnvError: what went wrong.
        """


class KeptSession:
    """A session that a request made: its callers take turns."""

    def __init__(self, direct: RequestSession) -> None:
        self._direct = direct
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self.attached = False
        self.closing = False

    @property
    def id(self) -> str:
        """See `Playable.id`."""
        return self._direct.id

    async def call(self, call: Call) -> Outcome:
        """See `Playable.call`."""
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
        """End it; returns when its slot is free."""
        await at(self._loop, self._direct.aclose)


class Sessions:
    """The table.

    Args:
        registry: gives the slots.
        idle_timeout_s: seconds without a call after which a kept session ends; None: never.
        home: where kept sessions live.
    """

    def __init__(self, registry: Registry, idle_timeout_s: float | None, home: Home) -> None:
        self._registry, self.idle_timeout_s, self._home = registry, idle_timeout_s, home
        self._kept: dict[str, KeptSession] = {}
        self._owned: dict[str, Playable] = {}

    async def create(self) -> KeptSession:
        """Open a session that outlives its request.

        Raises:
            EnvError: no slot, or the factory failed.
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
        """Enter the session of a WebSocket, which ends with it."""
        self._owned[name] = session

    def disown(self, name: str) -> None:
        """Take it out again."""
        self._owned.pop(name, None)

    def find(self, name: str) -> Playable | None:
        """Give the session of this id."""
        return self._kept.get(name) or self._owned.get(name)

    async def attach(self, name: str) -> Playable:
        """Give the session to one WebSocket until `detach`.

        Raises:
            SessionLost: there is none of this id, or another WebSocket has it.
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
        """Take it back; what was to be closed meanwhile is closed now."""
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
            request: what is asked.
            own: the id of the session whose connection asks, if it is one's.
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
    """Give the answer to who gets no session."""
    data = None
    if isinstance(error, CapacityError):
        data = {name: error.details.get(name) for name in ("active_sessions", "max_sessions")}
    elif isinstance(error, FactoryError):
        data = {"factory_name": error.details.get("factory_name")}
    return JsonRpcResponse.error_response(JsonRpcErrorCode.SERVER_ERROR, error.message, data, request_id)


def rpc_call(request: JsonRpcRequest) -> Call:
    """Give the call that answers a request about tools."""
    return Call("mcp", json.dumps(request.model_dump()).encode(), Wire.JSON)


def _wrong(request: JsonRpcRequest, code: JsonRpcErrorCode, text: str) -> JsonRpcResponse:
    return JsonRpcResponse.error_response(code, text, request_id=request.id)
