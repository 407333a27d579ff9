"""Connections to `/ws` and `/mcp`: a session of one's own, one attached to by its id, one asked by JSON-RPC alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from openenv_async.compat.server.background_loop import at
from openenv_async.compat.server.json_messages import OpenEnvMessages
from openenv_async.compat.server.jsonrpc import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse
from openenv_async.compat.server.sessions import CLOSE, CREATE, Playable, Sessions, refused, rpc_call
from openenv_async.compat.server.tools import read_request
from openenv_async.errors import EnvError, InvalidMessage, SessionLost
from openenv_async.protocol.error_mapping import safe_text
from openenv_async.protocol.openenv_json import JsonRequest
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.session import Session
from openenv_async.server.json_messages import JsonMessages
from openenv_async.server.json_ws import JsonConnection
from openenv_async.server.server import Server
from openenv_async.transport.link import Link, LinkClosed, Message


class OwnConnection(JsonConnection):
    """A `/ws` connection with a session of its own, which others may ask for tools by its id meanwhile."""

    def __init__(self, server: Server, link: Link, messages: OpenEnvMessages, sessions: Sessions) -> None:
        super().__init__(server, link, messages)
        self._sessions = sessions
        self._foreign: dict[int, asyncio.Future[Outcome]] = {}
        self._last_foreign = 0
        self._loop = asyncio.get_running_loop()

    @property
    def id(self) -> str:
        """See `Playable.id`."""
        return self._session.id if self._session is not None else ""

    async def call(self, call: Call) -> Outcome:
        """See `Playable.call`."""
        return await at(self._loop, lambda: self._call(call))

    async def _call(self, call: Call) -> Outcome:
        if self._session is None:
            raise SessionLost("the session has ended")
        # Negative, so that it is none of the connection's own numbers.
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
        """See `Sink.opened`."""
        self._sessions.own(session.id, self)
        super().opened(session)

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """See `Sink.deliver`."""
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
        """See `Sink.ended`."""
        self._sessions.disown(session.id)
        for waiter in self._foreign.values():
            if not waiter.done():
                waiter.set_exception(error or SessionLost("the session has ended"))
        super().ended(session, error)


async def serve_attached(link: Link, name: str, server: Server, messages: OpenEnvMessages, sessions: Sessions) -> None:
    """Serve a `/ws` connection that plays in the session of this id, which lives on when it ends."""
    try:
        session = await sessions.attach(name)
    except SessionLost as error:
        await link.send(error_frame("SESSION_ERROR", error.message))
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
    """Give the answer to one message; None when it says goodbye."""
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
    except Exception as exc:  # every failure has a frame; a bug of ours is logged on its way
        return messages.failure(exc)


async def serve_rpc(link: Link, sessions: Sessions) -> None:
    """Serve a connection to `/mcp`: a session of its own, JSON-RPC in and out."""
    try:
        async with _kept(sessions) as session:
            while True:
                await link.send(written(await _answer_rpc(await link.receive(), session, sessions)).decode())
    except LinkClosed:
        pass
    except EnvError as error:
        await link.send(written(refused(error)).decode())
    finally:
        await link.aclose()


@asynccontextmanager
async def _kept(sessions: Sessions) -> AsyncIterator[Any]:
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
    return await sessions.answer(request, session.id) or await ask(session, request)


async def ask(session: Playable, request: JsonRpcRequest) -> JsonRpcResponse | bytes:
    """Ask a session for its tools; what goes wrong on the way is an answer too."""
    try:
        return (await session.call(rpc_call(request))).data
    except EnvError as error:
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INTERNAL_ERROR, safe_text(error), request_id=request.id)


def written(answer: JsonRpcResponse | bytes) -> bytes:
    """Give the bytes of an answer; those that come from an environment are written already."""
    return answer if isinstance(answer, bytes) else msgspec.json.encode(answer.model_dump())


def error_frame(code: str, text: str) -> str:
    """Give the frame of an error on `/ws`."""
    return json.dumps({"type": "error", "data": {"message": text, "code": code}}, separators=(",", ":"))


def _session_request(messages: JsonMessages, message: Message) -> JsonRpcRequest | None:
    """Give the session method of JSON-RPC that a message asks for, if it does."""
    if not isinstance(message, str) or "openenv/session" not in message:
        return None
    try:
        request: JsonRequest = messages.read(message)
        rpc = read_request(json.loads(bytes(request.data))) if request.kind == "mcp" else None
    except (InvalidMessage, ValueError):
        return None  # whoever reads it next says what is wrong
    return rpc if isinstance(rpc, JsonRpcRequest) and rpc.method in (CREATE, CLOSE) else None
