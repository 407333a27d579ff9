"""The native wire, client side: one connection that carries the sessions of many clients.

A request is a future that its answer resolves; `transport.frame_stream` carries the frames. When the socket is
lost, the reader finds the server again (`reconnect`), and each session sends again what the server may have missed.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable

import msgspec

from openenv_async import tracing
from openenv_async.client.channel import Answer, CallTimer, Channel, RequestKind
from openenv_async.client.reconnect import Greeted, WayBack
from openenv_async.errors import EnvError, SessionBroken, SessionLost, StepTimeout, from_wire
from openenv_async.protocol.batching import BadFrame, too_large
from openenv_async.protocol.frames import (
    Ack,
    AnyFrame,
    Cancel,
    Close,
    Closed,
    Draining,
    Failure,
    GetState,
    Open,
    Opened,
    Reply,
    Reset,
    Resume,
    Resumed,
    ServerFrame,
    Step,
)
from openenv_async.transport.frame_stream import FrameStream
from openenv_async.transport.link import LinkClosed

CLOSE_WAIT_S = 5.0
"""Seconds that `aclose` waits for the server to say that the session has ended."""

ANSWER_SLACK_S = 1.0
"""Seconds beyond a call's own deadline in which the server's own answer about it may still arrive."""


class NativeChannel(Channel):
    """One session on a shared connection."""

    native = True
    session_id: str | None = None
    request_id: int | None = None
    lost: EnvError | None = None
    on_resumed: Callable[[], None] | None = None

    def __init__(self, connection: NativeConnection, sid: int, timeout_s: float | None) -> None:
        self.sid = sid
        self.token = ""
        self._connection, self._timeout_s = connection, timeout_s
        self._rid = 0
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._frame: Step | Reset | GetState | None = None
        """The request in flight, to be sent again after a lost connection."""
        self._size = 0
        """Bytes of its payload."""
        self._given_up: list[int] = []
        """Requests that the server was told to stop, until a later one is answered: then it has received that."""
        self._closing = False
        self._timer = CallTimer(self._expired)
        self._limit_s = 0.0
        self._what = "the session could not be opened"

    @property
    def retiring(self) -> bool:
        return self._connection.draining

    @property
    def traces(self) -> bool:
        return self._connection.traces

    def opening(self, timeout_s: float | None) -> asyncio.Future[Answer]:
        """Return what to await until the server has opened the session."""
        if timeout_s is not None:
            self._wait_at_most(timeout_s)
        return self._waiter

    def request(
        self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = ""
    ) -> asyncio.Future[Answer]:
        if self.lost is not None:
            raise self.lost
        connection, size = self._connection, len(payload)
        if size > connection.max_message_bytes:
            raise too_large(size, connection.max_message_bytes)
        self._rid = self.request_id = rid = self._rid + 1
        self._waiter = waiter = self._loop.create_future()
        frame: Step | Reset | GetState
        if kind == "step":
            frame = Step(self.sid, rid, msgspec.Raw(payload), timeout_s, trace)
        elif kind == "reset":
            frame = Reset(self.sid, rid, msgspec.Raw(payload), timeout_s, trace)
        else:
            frame = GetState(self.sid, rid, timeout_s, trace)
        self._frame, self._size, self._what = frame, size, kind
        connection.ask(frame, size)
        limit_s = self._timeout_s if timeout_s is None else timeout_s + ANSWER_SLACK_S
        if limit_s is not None:
            # As _wait_at_most, which costs a call.
            self._limit_s, self._timer.due = limit_s, self._loop.time() + limit_s
            if self._timer.due < self._timer.fires_at:
                self._timer.arm()
        return waiter

    def _wait_at_most(self, limit_s: float) -> None:
        self._limit_s, self._timer.due = limit_s, self._loop.time() + limit_s
        if self._timer.due < self._timer.fires_at:
            self._timer.arm()

    def _expired(self) -> None:
        what = self._what if self._frame is None else f"{self._what}()"
        text = f"{what}: no answer within {self._limit_s:g} s; the server was told to stop, and the session can go on"
        self.give_up()
        self._fail(StepTimeout(text, timeout_s=self._limit_s, session_usable=True))

    def give_up(self) -> None:
        self._timer.due = math.inf
        if self._frame is not None:
            self._frame = None
            self._given_up.append(self._rid)
            self._connection.put(Cancel(self.sid, self._rid))

    def _fail(self, error: EnvError) -> None:
        """Raise an error in the caller, with the names that the server's log has for the session and the request."""
        error.session_id, error.request_id = self.session_id, self._rid or None
        if not self._waiter.done():
            self._waiter.set_exception(error)
            # Its caller may have been cancelled in this very turn, and would not retrieve it.
            self._waiter.exception()

    def resolve(self, rid: int, answer: Answer | EnvError) -> None:
        """Take the server's answer to request `rid`; a late one is dropped."""
        if rid != self._rid or self._waiter.done():
            return
        self._frame, self._timer.due = None, math.inf
        if self._given_up:
            self._given_up.clear()
        if isinstance(answer, EnvError):
            self._fail(answer)
        else:
            self._waiter.set_result(answer)

    def fail(self, rid: int, error: EnvError) -> None:
        """Take the server's refusal: of a request, of the opening, or of the resumption."""
        if rid == 0 and self.session_id is not None:
            self.end(SessionLost(f"the session could not be resumed: {error}; call reset() for a new session"))
        else:
            self.resolve(rid, error)

    def once_more(self) -> list[tuple[AnyFrame, int]]:
        """Return what to send on a new connection, with the sizes of payloads; the server may have some of it."""
        frames: list[tuple[AnyFrame, int]] = [(Resume(self.sid, self.session_id or "", self.token), 0)]
        if self._closing:
            frames.append((Close(self.sid), 0))
            return frames
        frames += [(Cancel(self.sid, rid), 0) for rid in self._given_up]
        if self._frame is not None:
            frames.append((self._frame, self._size))
        return frames

    def came_back(self) -> None:
        """The server has the session on its new connection."""
        if self.on_resumed is not None:
            self.on_resumed()

    def lose_unopened(self, why: str) -> None:
        """The connection is lost; a session that has not been opened on it is to be opened on another."""
        if self.session_id is None:
            self.end(SessionLost(f"the connection was lost before the session was open: {why}"))

    def closed(self, frame: Closed) -> None:
        """The server has ended the session."""
        text = frame.message or "the server closed the session"
        if "reset()" not in text:
            text += "; call reset() for a new session"
        self.end(SessionBroken(text) if frame.code == SessionBroken.code else SessionLost(text))

    def end(self, error: EnvError) -> None:
        """The session is over: fail what waits and everything later."""
        self._fail(error)
        self.lost = self.lost or error
        self._frame = None
        self._timer.stop()
        if not self._over.done():
            self._over.set_result(None)
        self._connection.forget(self)

    async def aclose(self) -> None:
        self._closing = True
        if not self._over.done():
            self._connection.put(Close(self.sid))
            await asyncio.wait([self._over], timeout=CLOSE_WAIT_S)
        self.end(SessionLost("the session was closed"))

    def abandon(self) -> None:
        self._timer.stop()
        if not self._over.done():
            self._connection.put(Close(self.sid))
        self._connection.forget(self)


class NativeConnection:
    """A WebSocket shared by every client of one event loop that has the same server and headers."""

    def __init__(
        self,
        greeted: Greeted,
        max_message_bytes: int,
        on_idle: Callable[[NativeConnection], None],
        on_draining: Callable[[], None],
        way_back: WayBack | None,
    ) -> None:
        self._on_idle, self._on_draining, self._way_back = on_idle, on_draining, way_back
        self._channels: dict[int, NativeChannel] = {}
        self._sid = 0
        self._left: set[asyncio.Future[None]] = set()
        """Lost links on their way to be closed."""
        self.lost: SessionLost | None = None
        self.draining = False
        """The server has said that it is stopping."""
        self._most_received = max_message_bytes
        self._begin(greeted)
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="openenv client reader")

    def _begin(self, greeted: Greeted) -> None:
        """Use a link, the first or one that replaces a lost one, and the terms that the server stated on it."""
        self._link = greeted.link
        self._terms = terms = greeted.terms
        self.max_message_bytes = min(self._most_received, terms.max_message_bytes or self._most_received)
        self.open_wait_s = terms.queue_timeout_s
        self._window_s = terms.resume_window_s if self._way_back is not None else 0.0
        self._kept_above = terms.chunk_bytes if self._window_s else math.inf
        """Bytes of a reply that the server keeps until it is told to let go."""
        # Nothing is held back for what waits to leave: a session has one request in flight.
        flow = FrameStream(
            greeted.link,
            greeted.inbox,
            terms.chunk_bytes,
            self._dispatch,
            self._channels.__len__,
            sys.maxsize,
            "client",
        )
        self._flow: FrameStream[ServerFrame] | None = flow
        """None: the socket is lost, and the reader looks for the server."""
        for channel in self._channels.values():
            for again, size in channel.once_more():
                flow.put(again, size)
        for frame in greeted.more:
            self._dispatch(frame)

    async def open(self, timeout_s: float | None, key: str, queue_timeout_s: float | None = None) -> NativeChannel:
        """Open a session.

        Args:
            timeout_s: seconds to wait for it, besides those that the server lets it wait for a slot.
            key: a secret by which the server knows the session again if its answer is lost.
            queue_timeout_s: seconds to wait for a slot; None: as long as the server allows.

        Raises:
            EnvError: no slot, or the environment could not be built.
            SessionLost: the connection broke meanwhile.
        """
        self._sid += 1
        channel = NativeChannel(self, self._sid, timeout_s)
        self._channels[channel.sid] = channel
        trace = tracing.parent() if self._terms.traces else ""
        self.put(Open(channel.sid, key if self._window_s else "", queue_timeout_s, trace))
        try:
            await channel.opening(None if timeout_s is None else timeout_s + self.open_wait_s)
        except BaseException:
            if channel.sid in self._channels:
                self.put(Close(channel.sid))
                self.forget(channel)
            raise
        return channel

    def usable(self) -> bool:
        """Return whether new sessions may be opened on it."""
        return self.lost is None and self._flow is not None and not self.draining

    @property
    def traces(self) -> bool:
        """The server makes spans of what clients name."""
        return self._terms.traces

    @property
    def idle(self) -> bool:
        """No session is left on it."""
        return not self._channels

    def put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Queue a frame to leave with the others of this turn; without a connection, its session keeps it."""
        if self._flow is not None:
            self._flow.put(frame, payload_bytes)

    def ask(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Send a request: with those of the other sessions or, when there are none, at once."""
        flow = self._flow
        if flow is not None:
            alone = len(self._channels) == 1
            flow.put(frame, payload_bytes, not alone)
            if alone:
                flow.flush()

    def forget(self, channel: NativeChannel) -> None:
        """A session has ended; the last one ends the connection."""
        if self._channels.pop(channel.sid, None) is not None and not self._channels:
            self._on_idle(self)

    async def aclose(self) -> None:
        """Send what is queued and close the socket."""
        self._lose(SessionLost("the connection was closed"))
        try:
            if self._flow is not None:
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._flow.sent()
        except TimeoutError:
            pass
        finally:
            # Also when the loop ends and cancels this: the socket must not outlive it.
            self._reader.cancel()
            await self._link.aclose()

    async def _read(self) -> None:
        try:
            while True:
                assert self._flow is not None  # _begin() makes one
                try:
                    await self._flow.run()
                except LinkClosed as exc:
                    self._begin(await self._recover(exc))
        except SessionLost as exc:
            self._lose(exc)
            await self._link.aclose()
        except asyncio.CancelledError:
            if self.lost is None:
                # The loop ends with sessions open. Code 1001 tells the server not to wait for a reconnection.
                self._lose(SessionLost("the event loop of this client ended"))
                await self._link.aclose(1001)
            raise

    async def _recover(self, loss: LinkClosed) -> Greeted:
        """Find the server again; calls made meanwhile are kept by their sessions."""
        self._flow = None
        for channel in list(self._channels.values()):
            channel.lose_unopened(loss.reason)
        if self.draining:
            self._on_draining()
        if self._way_back is None or not self._window_s or self.draining or not self._channels:
            raise SessionLost(f"the connection to the server is gone ({loss.reason}), and the episode with it")
        closing = asyncio.ensure_future(self._link.aclose())
        self._left.add(closing)
        closing.add_done_callback(self._left.discard)
        return await self._way_back.find(self._terms.server_id, self._window_s, loss.reason)

    def _lose(self, reason: SessionLost) -> None:
        if self.lost is None:
            self.lost = reason
        for channel in list(self._channels.values()):
            channel.end(SessionLost(reason.message + "; call reset() for a new session"))

    def _dispatch(self, frame: ServerFrame | BadFrame) -> None:
        if type(frame) is Reply:
            channel = self._channels.get(frame.sid)
            if channel is not None:
                data, size = bytes(frame.data), len(frame.data)
                if size > self._kept_above:
                    # Until it knows that this has arrived, the server keeps it.
                    self.put(Ack(frame.sid, frame.rid))
                answer = Answer(data, tuple(frame.warnings)) if frame.warnings else Answer(data)
                most = self._most_received
                channel.resolve(frame.rid, answer if size <= most else too_large(size, most))
        elif isinstance(frame, Failure):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.fail(frame.rid, from_wire(frame.code, frame.message, frame.details))
        elif isinstance(frame, Opened):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.session_id, channel.token = frame.session_id, frame.token
                channel.resolve(0, Answer(b""))
        elif isinstance(frame, Closed):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.closed(frame)
        else:
            self._dispatch_rare(frame)

    def _dispatch_rare(self, frame: ServerFrame | BadFrame) -> None:
        if isinstance(frame, BadFrame):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.resolve(frame.rid, frame.error)
        elif isinstance(frame, Draining):
            self.draining = True
            self._on_draining()
        elif isinstance(frame, Resumed):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.came_back()
