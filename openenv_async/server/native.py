"""Server side of a native connection: frames in, calls of sessions, frames out.

Frames are dispatched without waiting for any session. `transport.frame_stream` carries them, `protocol` defines them,
`runtime` has the sessions.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable

import msgspec

from openenv_async.errors import (
    CapacityError,
    EnvError,
    InvalidPayload,
    RemoteProtocolError,
    SessionBroken,
    SessionBusy,
    SessionLost,
)
from openenv_async.limits import Limits
from openenv_async.protocol.batching import SERVER_SIDE, BadFrame, Inbox, too_large
from openenv_async.protocol.error_mapping import describe
from openenv_async.protocol.frames import (
    RESUME,
    TRACE,
    VERSION,
    Ack,
    Cancel,
    ClientFrame,
    Close,
    Closed,
    Draining,
    Failure,
    GetState,
    Hello,
    Open,
    Opened,
    Reply,
    Reset,
    Resume,
    Resumed,
    Step,
)
from openenv_async.protocol.session_states import State
from openenv_async.runtime.calls import NATIVE, Call, Outcome
from openenv_async.runtime.session import Session, Sink
from openenv_async.server.rate_limits import COUNTED_BYTES, RequestBudget, SessionRate
from openenv_async.server.server import Server, ServerConnection
from openenv_async.transport.frame_stream import FrameStream
from openenv_async.transport.link import Link, LinkClosed


class AttachedSession:
    """A session on a connection, with the client's number for it."""

    __slots__ = ("opened", "session", "sid")

    def __init__(self, sid: int, session: Session, *, opened: bool = False) -> None:
        self.sid = sid
        self.session = session
        self.opened = opened
        """The client was told that the session is open."""


class AttachedSessions:
    """The sessions of one connection, by the client's number and by themselves."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last_sid = 0
        self.by_sid: dict[int, AttachedSession] = {}
        self.by_session: dict[Session, AttachedSession] = {}

    def reserve(self, sid: int) -> EnvError | None:
        """Reserve a client's number for one more session; returns the error when the client may not use it."""
        if sid <= self._last_sid:
            return RemoteProtocolError(f"session {sid} came after session {self._last_sid}; ids only grow")
        self._last_sid = sid
        if len(self.by_sid) >= self._most:
            text = f"this connection holds {self._most} sessions, the most it may"
            return CapacityError(text, active_sessions=self._most, max_sessions=self._most)
        return None

    def add(self, attached: AttachedSession) -> None:
        """Add a session."""
        self.by_sid[attached.sid] = self.by_session[attached.session] = attached

    def remove(self, session: Session) -> AttachedSession:
        """Remove a session that has ended or moves to another connection."""
        attached = self.by_session.pop(session)
        self.by_sid.pop(attached.sid, None)
        return attached


def hello(server_id: str, limits: Limits, *, traces: bool = False) -> Hello:
    """Return a connection's first frame; clients ignore what they do not know of it."""
    told: dict[str, float] = {
        "max_message_bytes": limits.max_message_bytes,
        "chunk_bytes": limits.chunk_bytes,
        "max_sessions": limits.max_sessions,
        "queue_timeout_s": limits.queue_timeout_s,
    }
    features = ["cancel", "chunk", "deadline"]
    if limits.resume_window_s:
        told["resume_window_s"] = limits.resume_window_s
        features.append(RESUME)
    if traces:
        features.append(TRACE)
    return Hello(VERSION, server_id, told, features)


logger = logging.getLogger("openenv_async")

MAX_QUEUED = 16
"""Requests that may wait in one session. This package's client has one in flight, or a few that it has given up."""

DELIBERATE_CLOSES = (1000, 1001, 1005)
"""Close codes of a client that closed the connection itself. After any other end the client may resume."""

_NO_PAYLOAD = b"\x80"


class NativeConnection(Sink, ServerConnection):
    """One WebSocket that carries many sessions. `await run()` until it ends."""

    wire = "native"

    def __init__(self, server: Server, link: Link) -> None:
        self._server, self._link = server, link
        self._limits = server.limits
        self._inbox: Inbox[ClientFrame] = Inbox(
            SERVER_SIDE, server.limits.max_message_bytes, server.limits.max_connection_bytes
        )
        self._budget = RequestBudget(server.limits.max_connection_bytes)
        self._rate = SessionRate(server.limits.max_new_sessions_per_s, server.limits.max_sessions_per_connection)
        self._sessions = AttachedSessions(server.limits.max_sessions_per_connection)
        self._by_sid, self._by_session = self._sessions.by_sid, self._sessions.by_session
        self._flow = FrameStream(
            link,
            self._inbox,
            server.limits.chunk_bytes,
            self._dispatch,
            self._by_sid.__len__,
            server.limits.max_queued_bytes,
            "native",
            server.traffic["native"],
        )
        self._put = self._flow.put

    async def run(self) -> None:
        """Serve the connection until either side ends it; sessions that may be resumed outlive it."""
        self._put(hello(self._server.id, self._limits, traces=self._server.telemetry.spans is not None))
        self._server.traffic["native"].connections += 1
        self._server.connections.add(self)
        lost = True
        try:
            await self._flow.run()
        except LinkClosed as exc:
            lost = exc.code not in DELIBERATE_CLOSES
        finally:
            self._server.connections.discard(self)
            for session in list(self._by_session):
                if lost and self._server.registry.detached.keep(session):
                    self._sessions.remove(session)
                else:
                    session.close()

    async def drain(self, grace_s: float) -> None:
        self._put(Draining(grace_s))

    async def aclose(self) -> None:
        await self._flow.sent()
        await self._link.aclose(1001, "the server is stopping")

    def _dispatch(self, frame: ClientFrame | BadFrame) -> None:
        if type(frame) is Step:
            attached = self._by_sid.get(frame.sid)
            if attached is not None and frame.timeout_s is None and len(frame.data) <= self._limits.max_message_bytes:
                session = attached.session
                if session.idle and frame.rid > session.newest:
                    # Most frames, without the checks of `_request` that such a frame always passes.
                    session.newest = frame.rid
                    session.submit(frame.rid, Call("step", frame.data, NATIVE, None, frame.trace))
                    return
        self._dispatch_any(frame)

    def _dispatch_any(self, frame: ClientFrame | BadFrame) -> None:
        if isinstance(frame, Step):
            self._request(frame.sid, frame.rid, Call("step", frame.data, NATIVE, frame.timeout_s, frame.trace))
        elif isinstance(frame, Reset):
            self._request(frame.sid, frame.rid, Call("reset", frame.data, NATIVE, frame.timeout_s, frame.trace))
        elif isinstance(frame, GetState):
            limit = self._limits.state_timeout_s if frame.timeout_s is None else frame.timeout_s
            self._request(frame.sid, frame.rid, Call("state", _NO_PAYLOAD, NATIVE, limit, frame.trace))
        elif isinstance(frame, Open):
            self._open(frame)
        elif isinstance(frame, Close):
            self._close(frame.sid)
        elif isinstance(frame, (Cancel, Ack)):
            attached = self._by_sid.get(frame.sid)
            if attached is not None:
                (attached.session.cancel if isinstance(frame, Cancel) else attached.session.acknowledge)(frame.rid)
        elif isinstance(frame, Resume):
            self._resume(frame)
        elif isinstance(frame, BadFrame):
            self._refuse(frame.sid, frame.rid, frame.error)

    def _request(self, sid: int, rid: int, call: Call) -> None:
        attached = self._by_sid.get(sid)
        if attached is None:
            self._refuse(sid, rid, SessionLost(f"this connection has no session {sid}; open one first"))
        elif rid <= attached.session.newest:
            self._answer_again(attached, rid)
        elif len(attached.session.queue) >= MAX_QUEUED:
            self._refuse(sid, rid, SessionBusy(f"{MAX_QUEUED} requests wait in this session already"))
        elif call.timeout_s is not None and not call.timeout_s > 0:
            # NaN too: among the timers of the loop it would stop the whole server.
            self._refuse(sid, rid, InvalidPayload("timeout_s must be more than 0 seconds", path="timeout_s"))
        elif (size := memoryview(call.payload).nbytes) > self._limits.max_message_bytes:
            self._refuse(sid, rid, too_large(size, self._limits.max_message_bytes))
        elif size > COUNTED_BYTES and (
            over := self._budget.refuse(attached.session, rid, size, self._inbox.held_bytes)
        ):
            self._refuse(sid, rid, over)
        else:
            attached.session.newest = rid
            attached.session.submit(rid, call)

    def _answer_again(self, attached: AttachedSession, rid: int) -> None:
        """Answer a request that was sent again, because its client missed the outcome or the network repeated it."""
        session = attached.session
        if not session.token or rid < session.newest:
            text = f"request {rid} came after request {session.newest}; ids only grow"
            self._refuse(attached.sid, rid, RemoteProtocolError(text))
            return
        outcome = session.outcome_of(rid)
        if outcome is not None:
            self.deliver(session, rid, outcome)
        elif not session.awaits(rid):
            text = f"request {rid} was acknowledged or cancelled, and its outcome is not kept"
            self._refuse(attached.sid, rid, RemoteProtocolError(text))

    def _open(self, frame: Open) -> None:
        error = self._sessions.reserve(frame.sid) or self._rate.refuse()
        if error is not None:
            self._refuse(frame.sid, 0, error)
            return
        registry = self._server.registry
        key = frame.key if self._limits.resume_window_s else ""
        known = registry.detached.find_unused(key) if key else None
        if known is not None:
            self._take_over(AttachedSession(frame.sid, known))
            if known.state.now is not State.OPENING:
                self.opened(known)
            return
        wait_s, longest = frame.wait_s, self._limits.queue_timeout_s
        # Not min(): a client's NaN must mean no waiting, not waiting forever.
        wait_s = longest if wait_s is None or wait_s > longest else wait_s
        session = registry.open(self, wait_s=wait_s, trace=frame.trace)
        if key:
            registry.detached.allow(session, key)
        self._sessions.add(AttachedSession(frame.sid, session))

    def _resume(self, frame: Resume) -> None:
        error = self._sessions.reserve(frame.sid)
        session = self._server.registry.detached.find(frame.session_id, frame.token)
        if error is not None or session is None:
            gone = "the server no longer has this session, or the token is wrong"
            self._refuse(frame.sid, 0, error or SessionLost(gone))
            return
        self._take_over(AttachedSession(frame.sid, session, opened=True))
        self._put(Resumed(frame.sid))

    def _take_over(self, attached: AttachedSession) -> None:
        """Attach a session whose connection is lost or half open; in the latter case no frame is sent there."""
        sink = attached.session.sink
        if isinstance(sink, NativeConnection):
            sink._inbox.forget(sink._sessions.remove(attached.session).sid)
        self._server.registry.detached.release(attached.session)
        self._sessions.add(attached)
        attached.session.attach(self)
        if attached.session.observer is not None:
            attached.session.observer.attached(attached.session)

    def _close(self, sid: int) -> None:
        attached = self._by_sid.get(sid)
        self._inbox.forget(sid)
        if attached is None:
            self._put(Closed(sid))
        else:
            attached.session.close()

    def _refuse(self, sid: int, rid: int, error: BaseException) -> None:
        """Refuse a request that does not become a call; calls that fail are counted where they end."""
        if self._server.metrics is not None:
            self._server.metrics.failed(error)
        self._fail(sid, rid, error)

    def _fail(self, sid: int, rid: int, error: BaseException) -> None:
        what = describe(error)
        self._put(Failure(sid, rid, what.code, what.message, what.details))

    def opened(self, session: Session) -> None:
        attached = self._by_session[session]
        attached.opened = True
        self._put(Opened(attached.sid, session.id, session.token))

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        sid = self._by_session[session].sid
        if isinstance(outcome, Outcome):
            data = outcome.data
            reply = Reply(sid, rid, msgspec.Raw(data))
            if outcome.warnings:
                reply.warnings = list(outcome.warnings)
            self._put(reply, len(data))
        else:
            self._fail(sid, rid, outcome)
        # The session's next call begins when there is room for its outcome.
        return self._flow.room() if self._flow.held else None

    def ended(self, session: Session, error: BaseException | None) -> None:
        attached = self._sessions.remove(session)
        if not attached.opened:
            self._fail(attached.sid, 0, error or SessionLost("the session was closed before it was open"))
            return
        if session.was_broken:
            error = SessionBroken("the environment hung or crashed and was given up; call reset() for a fresh one")
        what = describe(error) if error is not None else None
        self._put(Closed(attached.sid, what.code, what.message) if what else Closed(attached.sid))
