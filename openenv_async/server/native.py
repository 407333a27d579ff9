"""A connection of the native wire: frames in, sessions, frames out.

One task reads and dispatches without waiting for any session; one task writes
whatever has become ready. `protocol` knows the frames, `runtime` the sessions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

import msgspec

from openenv_async.errors import (
    CapacityError,
    InvalidPayload,
    RemoteProtocolError,
    SessionBroken,
    SessionBusy,
    SessionLost,
)
from openenv_async.protocol.batches import SERVER_SIDE, BadFrame, Inbox, Outbox, slice_of, too_large
from openenv_async.protocol.failures import describe
from openenv_async.protocol.frames import (
    VERSION,
    AnyFrame,
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
    Step,
)
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.session import Session
from openenv_async.server.budget import COUNTED_BYTES, RequestBudget, SessionRate
from openenv_async.server.core import Server
from openenv_async.transport.link import Link, LinkClosed

logger = logging.getLogger("openenv_async")

MAX_QUEUED = 16
"""Requests that may wait in one session. A client of ours has one in flight, or a few it has given up."""

MOST_QUEUED_FRAMES = 8192
"""Frames that may wait to be sent, errors among them; above it the client is not read any further."""

_NO_PAYLOAD = b"\x80"


class _Seat:
    """A session's place on this connection."""

    __slots__ = ("opened", "rid", "session", "sid")

    def __init__(self, sid: int) -> None:
        self.sid = sid
        self.rid = 0
        self.opened = False
        self.session: Session | None = None


class NativeConnection:
    """One WebSocket that carries many sessions. `await run()` until it ends."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server, self._link = server, link
        self._limits = server.limits
        self._inbox: Inbox[ClientFrame] = Inbox(
            SERVER_SIDE, server.limits.max_message_bytes, server.limits.max_connection_bytes
        )
        self._budget = RequestBudget(server.limits.max_connection_bytes)
        self._rate = SessionRate(server.limits.max_new_sessions_per_s, server.limits.max_sessions_per_connection)
        self._outbox = Outbox(server.limits.chunk_bytes)
        self._seats: dict[int, _Seat] = {}
        self._by_session: dict[Session, _Seat] = {}
        self._last_sid = 0
        self._ready: asyncio.Future[None] | None = None
        self._sent = asyncio.Event()
        self._sending = False
        self._writer_gone = False

    async def run(self) -> None:
        """Serve the connection until either side ends it; its sessions end with it."""
        limits = self._limits
        self._put(
            Hello(
                VERSION,
                self._server.id,
                {
                    "max_message_bytes": limits.max_message_bytes,
                    "chunk_bytes": limits.chunk_bytes,
                    "max_sessions": limits.max_sessions,
                    "queue_timeout_s": limits.queue_timeout_s,
                },
                ["cancel", "chunk", "deadline"],
            )
        )
        writer = asyncio.get_running_loop().create_task(self._write(), name="openenv native writer")
        self._server.connections.add(self)
        try:
            await self._read()
        except LinkClosed:
            pass
        finally:
            self._server.connections.discard(self)
            for seat in list(self._seats.values()):
                if seat.session is not None:
                    seat.session.close()
            writer.cancel()
            await asyncio.wait([writer])

    async def drain(self, grace_s: float) -> None:
        """See `Connection.drain`."""
        self._put(Draining(grace_s))

    async def aclose(self) -> None:
        """See `Connection.aclose`."""
        while self._outbox and not self._writer_gone:
            self._sent.clear()
            await self._sent.wait()
        await self._link.aclose(1001, "the server is stopping")

    async def _read(self) -> None:
        receive, inbox, dispatch = self._link.receive, self._inbox.receive, self._dispatch
        while True:
            frames = inbox(await receive())
            most_at_once = slice_of(len(self._seats))
            for at, frame in enumerate(frames, 1):
                dispatch(frame)
                if at % most_at_once == 0:
                    await asyncio.sleep(0)
                    if self._outbox.queued_frames > MOST_QUEUED_FRAMES:
                        await self._until_sent()
            if self._outbox.queued_bytes > self._limits.max_queued_bytes:
                await self._until_sent()

    async def _until_sent(self) -> None:
        """Wait for a client that does not read its replies: it is not read either. Others have their own connection."""
        most, outbox = self._limits.max_queued_bytes, self._outbox
        while (outbox.queued_bytes > most or outbox.queued_frames > MOST_QUEUED_FRAMES) and not self._writer_gone:
            self._sent.clear()
            await self._sent.wait()

    async def _write(self) -> None:
        outbox, send, sent = self._outbox, self._link.send, self._sent
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not outbox or self._sending:
                    self._ready = loop.create_future()
                    await self._ready
                    continue
                self._sending = True
                await send(outbox.take())
                self._sending = False
                sent.set()
        except LinkClosed:
            pass
        finally:
            self._writer_gone = True
            sent.set()

    def _put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        self._outbox.put(frame, payload_bytes)
        self._wake_writer()

    def _wake_writer(self) -> None:
        ready = self._ready
        if ready is not None and not ready.done():
            ready.set_result(None)

    def _dispatch(self, frame: ClientFrame | BadFrame) -> None:
        if isinstance(frame, Step):
            self._request(frame.sid, frame.rid, Call("step", frame.data, Wire.NATIVE, frame.timeout_s))
        elif isinstance(frame, Reset):
            self._request(frame.sid, frame.rid, Call("reset", frame.data, Wire.NATIVE, frame.timeout_s))
        elif isinstance(frame, GetState):
            limit = self._limits.state_timeout_s if frame.timeout_s is None else frame.timeout_s
            self._request(frame.sid, frame.rid, Call("state", _NO_PAYLOAD, Wire.NATIVE, limit))
        elif isinstance(frame, Open):
            self._open(frame.sid, frame.wait_s)
        elif isinstance(frame, Close):
            self._close(frame.sid)
        elif isinstance(frame, Cancel):
            seat = self._seats.get(frame.sid)
            if seat is not None and seat.session is not None:
                seat.session.cancel(frame.rid)
        elif isinstance(frame, BadFrame):
            self._fail(frame.sid, frame.rid, frame.error)

    def _request(self, sid: int, rid: int, call: Call) -> None:
        seat = self._seats.get(sid)
        if seat is None or seat.session is None:
            self._fail(sid, rid, SessionLost(f"this connection has no session {sid}; open one first"))
        elif rid <= seat.rid:
            self._fail(sid, rid, RemoteProtocolError(f"request {rid} came after request {seat.rid}; ids only grow"))
        elif seat.session.queued >= MAX_QUEUED:
            self._fail(sid, rid, SessionBusy(f"{MAX_QUEUED} requests wait in this session already"))
        elif call.timeout_s is not None and not call.timeout_s > 0:
            # NaN too: among the timers of the loop it would stop the whole server.
            self._fail(sid, rid, InvalidPayload("timeout_s must be more than 0 seconds", path="timeout_s"))
        elif (size := memoryview(call.payload).nbytes) > self._limits.max_message_bytes:
            self._fail(sid, rid, too_large(size, self._limits.max_message_bytes))
        elif size > COUNTED_BYTES and (over := self._budget.refuse(seat.session, rid, size, self._inbox.held_bytes)):
            self._fail(sid, rid, over)
        else:
            seat.rid = rid
            seat.session.submit(rid, call)

    def _open(self, sid: int, wait_s: float | None) -> None:
        if sid <= self._last_sid:
            self._fail(sid, 0, RemoteProtocolError(f"session {sid} came after session {self._last_sid}; ids only grow"))
            return
        self._last_sid = sid
        if len(self._seats) >= self._limits.max_sessions_per_connection:
            limit = self._limits.max_sessions_per_connection
            text = f"this connection holds {limit} sessions, the most it may"
            self._fail(sid, 0, CapacityError(text, active_sessions=limit, max_sessions=limit))
            return
        if (hasty := self._rate.refuse()) is not None:
            self._fail(sid, 0, hasty)
            return
        seat = self._seats[sid] = _Seat(sid)
        longest = self._limits.queue_timeout_s
        # Not min(): a client's NaN means no waiting, and never for ever.
        wait_s = longest if wait_s is None or wait_s > longest else wait_s
        seat.session = self._server.registry.open(self, wait_s=wait_s, party=self)
        self._by_session[seat.session] = seat

    def _close(self, sid: int) -> None:
        seat = self._seats.get(sid)
        self._inbox.forget(sid)
        if seat is None or seat.session is None:
            self._put(Closed(sid))
        else:
            seat.session.close()

    def _fail(self, sid: int, rid: int, error: BaseException) -> None:
        what = describe(error)
        self._put(Failure(sid, rid, what.code, what.message, what.details))

    # What follows is `runtime.session.Sink`.

    def opened(self, session: Session) -> None:
        """See `Sink.opened`."""
        seat = self._by_session[session]
        seat.opened = True
        self._put(Opened(seat.sid, session.id))

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """See `Sink.deliver`."""
        sid = self._by_session[session].sid
        if isinstance(outcome, Outcome):
            data = outcome.data
            reply = Reply(sid, rid, msgspec.Raw(data), list(outcome.warnings))
            if len(self._seats) == 1 and not self._outbox and not self._sending:
                # With one session there is nothing to wait for: its own task sends, and the writer sleeps on.
                self._outbox.put(reply, len(data))
                return self._send_alone()
            self._put(reply, len(data))
            if self._outbox.queued_bytes > self._limits.max_queued_bytes:
                # Its next call begins when there is room for what it gives.
                return self._until_sent()
        else:
            self._fail(sid, rid, outcome)
        return None

    async def _send_alone(self) -> None:
        self._sending = True
        try:
            # This reply alone, or its first piece: a session that is cancelled must not take another's with it.
            await self._link.send(self._outbox.take())
        except LinkClosed:
            pass
        finally:
            self._sending = False
            self._sent.set()
            if self._outbox:
                self._wake_writer()

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Sink.ended`."""
        seat = self._by_session.pop(session)
        self._seats.pop(seat.sid, None)
        if not seat.opened:
            self._fail(seat.sid, 0, error or SessionLost("the session was closed before it was open"))
            return
        if session.was_broken:
            error = SessionBroken("the environment hung and was given up; call reset() for a fresh one")
        what = describe(error) if error is not None else None
        self._put(Closed(seat.sid, what.code, what.message) if what else Closed(seat.sid))
