"""A connection of the native wire: frames in, sessions, frames out.

What arrives is dispatched without waiting for any session; `transport.frame_stream` carries
the frames, `protocol` knows them, `runtime` the sessions.
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
from openenv_async.protocol.batching import SERVER_SIDE, BadFrame, Inbox, Outbox, too_large
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
from openenv_async.runtime.session import Session
from openenv_async.server.rate_limits import COUNTED_BYTES, RequestBudget, SessionRate
from openenv_async.server.server import Server
from openenv_async.transport.frame_stream import Flow
from openenv_async.transport.link import Link, LinkClosed


class Seat:
    """A session's place on this connection."""

    __slots__ = ("opened", "resumed", "session", "sid")

    def __init__(self, sid: int, session: Session, *, resumed: bool = False) -> None:
        self.sid = sid
        self.session = session
        self.opened = resumed
        """The client knows that the session is open."""
        self.resumed = resumed
        """The session came from another connection: its newest request may be asked again."""


class Seats:
    """The sessions of one connection, by the client's number and by themselves."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last_sid = 0
        self.by_sid: dict[int, Seat] = {}
        self.by_session: dict[Session, Seat] = {}

    def refuse(self, sid: int) -> EnvError | None:
        """Say why the client may not use this number for one more session; None: it may, and then has."""
        if sid <= self._last_sid:
            return RemoteProtocolError(f"session {sid} came after session {self._last_sid}; ids only grow")
        self._last_sid = sid
        if len(self.by_sid) >= self._most:
            text = f"this connection holds {self._most} sessions, the most it may"
            return CapacityError(text, active_sessions=self._most, max_sessions=self._most)
        return None

    def sit(self, seat: Seat) -> None:
        """Take a session in."""
        self.by_sid[seat.sid] = self.by_session[seat.session] = seat

    def leave(self, session: Session) -> Seat:
        """The session has ended or gone to another connection."""
        seat = self.by_session.pop(session)
        self.by_sid.pop(seat.sid, None)
        return seat


def hello(server_id: str, limits: Limits, *, traces: bool = False) -> Hello:
    """Make the first frame; a client passes over what it does not know."""
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
"""Requests that may wait in one session. A client of ours has one in flight, or a few it has given up."""

GOODBYES = (1000, 1001, 1005)
"""Close codes of a client that means to go. Whatever else ends a connection, its client may come back."""

_NO_PAYLOAD = b"\x80"


class NativeConnection:
    """One WebSocket that carries many sessions. `await run()` until it ends."""

    wire = "native"
    peer: str | None = None
    """The client's address, where it is known."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server, self._link = server, link
        self._limits = server.limits
        self._inbox: Inbox[ClientFrame] = Inbox(
            SERVER_SIDE, server.limits.max_message_bytes, server.limits.max_connection_bytes
        )
        self._budget = RequestBudget(server.limits.max_connection_bytes)
        self._rate = SessionRate(server.limits.max_new_sessions_per_s, server.limits.max_sessions_per_connection)
        self._outbox = Outbox(server.limits.chunk_bytes)
        self._places = Seats(server.limits.max_sessions_per_connection)
        self._seats, self._by_session = self._places.by_sid, self._places.by_session
        self._flow = Flow(
            link,
            self._inbox,
            self._outbox,
            self._dispatch,
            self._seats.__len__,
            server.limits.max_queued_bytes,
            "native",
            server.traffic["native"],
        )
        self._put = self._flow.put

    async def run(self) -> None:
        """Serve the connection until either side ends it; sessions that may be resumed outlive it."""
        self._put(hello(self._server.id, self._limits, traces=self._server.observing.spans is not None))
        self._server.traffic["native"].connections += 1
        self._server.connections.add(self)
        lost = True
        try:
            await self._flow.run()
        except LinkClosed as exc:
            lost = exc.code not in GOODBYES
        finally:
            self._server.connections.discard(self)
            for session in list(self._by_session):
                if lost and self._server.registry.detached.keep(session):
                    self._places.leave(session)
                else:
                    session.close()

    async def drain(self, grace_s: float) -> None:
        """See `Connection.drain`."""
        self._put(Draining(grace_s))

    async def aclose(self) -> None:
        """See `Connection.aclose`."""
        await self._flow.sent()
        await self._link.aclose(1001, "the server is stopping")

    def _dispatch(self, frame: ClientFrame | BadFrame) -> None:
        if type(frame) is Step:
            seat = self._seats.get(frame.sid)
            if seat is not None and frame.timeout_s is None and len(frame.data) <= self._limits.max_message_bytes:
                session = seat.session
                if session.idle and frame.rid > session.newest:
                    # What most frames are, without the questions that `_request` asks of the others.
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
            seat = self._seats.get(frame.sid)
            if seat is not None:
                (seat.session.cancel if isinstance(frame, Cancel) else seat.session.acknowledge)(frame.rid)
        elif isinstance(frame, Resume):
            self._resume(frame)
        elif isinstance(frame, BadFrame):
            self._refuse(frame.sid, frame.rid, frame.error)

    def _request(self, sid: int, rid: int, call: Call) -> None:
        seat = self._seats.get(sid)
        if seat is None:
            self._refuse(sid, rid, SessionLost(f"this connection has no session {sid}; open one first"))
        elif rid <= seat.session.newest:
            self._ask_again(seat, rid)
        elif seat.session.queued >= MAX_QUEUED:
            self._refuse(sid, rid, SessionBusy(f"{MAX_QUEUED} requests wait in this session already"))
        elif call.timeout_s is not None and not call.timeout_s > 0:
            # NaN too: among the timers of the loop it would stop the whole server.
            self._refuse(sid, rid, InvalidPayload("timeout_s must be more than 0 seconds", path="timeout_s"))
        elif (size := memoryview(call.payload).nbytes) > self._limits.max_message_bytes:
            self._refuse(sid, rid, too_large(size, self._limits.max_message_bytes))
        elif size > COUNTED_BYTES and (over := self._budget.refuse(seat.session, rid, size, self._inbox.held_bytes)):
            self._refuse(sid, rid, over)
        else:
            seat.session.newest = rid
            seat.session.submit(rid, call)

    def _ask_again(self, seat: Seat, rid: int) -> None:
        """Take a request that this session has had before: its client missed the outcome, or the network repeats it."""
        session = seat.session
        if not session.token or rid < session.newest:
            text = f"request {rid} came after request {session.newest}; ids only grow"
            self._refuse(seat.sid, rid, RemoteProtocolError(text))
            return
        outcome = session.outcome_of(rid)
        if outcome is not None:
            self.deliver(session, rid, outcome)
        elif not session.awaits(rid):
            text = f"request {rid} was acknowledged or cancelled, and its outcome is not kept"
            self._refuse(seat.sid, rid, RemoteProtocolError(text))

    def _open(self, frame: Open) -> None:
        error = self._places.refuse(frame.sid) or self._rate.refuse()
        if error is not None:
            self._refuse(frame.sid, 0, error)
            return
        registry = self._server.registry
        key = frame.key if self._limits.resume_window_s else ""
        known = registry.detached.find_unused(key) if key else None
        if known is not None:
            self._take_over(Seat(frame.sid, known))
            if known.state.now is not State.OPENING:
                self.opened(known)
            return
        wait_s, longest = frame.wait_s, self._limits.queue_timeout_s
        # Not min(): a client's NaN means no waiting, and never for ever.
        wait_s = longest if wait_s is None or wait_s > longest else wait_s
        session = registry.open(self, wait_s=wait_s, trace=frame.trace)
        if key:
            registry.detached.enrol(session, key)
        self._places.sit(Seat(frame.sid, session))

    def _resume(self, frame: Resume) -> None:
        error = self._places.refuse(frame.sid)
        session = self._server.registry.detached.find(frame.session_id, frame.token)
        if error is not None or session is None:
            gone = "the server has no such session any longer, or its token is another"
            self._refuse(frame.sid, 0, error or SessionLost(gone))
            return
        self._take_over(Seat(frame.sid, session, resumed=True))
        self._put(Resumed(frame.sid))

    def _take_over(self, seat: Seat) -> None:
        """Seat a session whose connection is lost, or half open: then nobody there is told."""
        sink = seat.session.sink
        if isinstance(sink, NativeConnection):
            sink._inbox.forget(sink._places.leave(seat.session).sid)
        self._server.registry.detached.release(seat.session)
        self._places.sit(seat)
        seat.session.attach(self)
        if seat.session.watch is not None:
            seat.session.watch.attached(seat.session)

    def _close(self, sid: int) -> None:
        seat = self._seats.get(sid)
        self._inbox.forget(sid)
        if seat is None:
            self._put(Closed(sid))
        else:
            seat.session.close()

    def _refuse(self, sid: int, rid: int, error: BaseException) -> None:
        """Fail what comes to no call; those are counted where they end."""
        if self._server.metrics is not None:
            self._server.metrics.failed(error)
        self._fail(sid, rid, error)

    def _fail(self, sid: int, rid: int, error: BaseException) -> None:
        what = describe(error)
        self._put(Failure(sid, rid, what.code, what.message, what.details))

    # What follows is `runtime.session.Sink`.

    def opened(self, session: Session) -> None:
        """See `Sink.opened`."""
        seat = self._by_session[session]
        seat.opened = True
        self._put(Opened(seat.sid, session.id, session.token))

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """See `Sink.deliver`. Its next call begins when there is room for what it gives."""
        sid = self._by_session[session].sid
        if isinstance(outcome, Outcome):
            data = outcome.data
            reply = Reply(sid, rid, msgspec.Raw(data))
            if outcome.warnings:
                reply.warnings = list(outcome.warnings)
            self._put(reply, len(data))
        else:
            self._fail(sid, rid, outcome)
        return self._flow.room() if self._flow.held else None

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Sink.ended`."""
        seat = self._places.leave(session)
        if not seat.opened:
            self._fail(seat.sid, 0, error or SessionLost("the session was closed before it was open"))
            return
        if session.was_broken:
            error = SessionBroken("the environment hung or crashed and was given up; call reset() for a fresh one")
        what = describe(error) if error is not None else None
        self._put(Closed(seat.sid, what.code, what.message) if what else Closed(seat.sid))
