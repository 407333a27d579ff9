"""The native wire's client side: one connection that carries the sessions of many clients.

A request is a future that its answer resolves; `transport.frame_stream` carries the frames. When the socket is
lost, the reader finds the server again (`reconnect`) and each session says what it
still needs.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable

import msgspec

from openenv_async import tracing
from openenv_async.client.channel import Answer, RequestKind
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
"""Seconds beyond a call's own deadline in which the server's verdict on it may still arrive."""


class NativeChannel:
    """One session on a shared connection. See `Channel`."""

    native = True

    def __init__(self, connection: NativeConnection, sid: int, timeout_s: float | None) -> None:
        self.sid = sid
        self.session_id: str | None = None
        self.request_id: int | None = None
        self.token = ""
        self.on_resumed: Callable[[], None] | None = None
        self._connection = connection
        self._timeout_s = timeout_s
        self._rid = 0
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._frame: Step | Reset | GetState | None = None
        """The request in flight, to be sent again after a lost connection."""
        self._given_up: list[int] = []
        """Requests that the server was told to stop, until a later one is answered: then it has heard."""
        self._closing = False
        self.lost: EnvError | None = None
        self._seen = 0
        """The request that was in flight at the last `look`."""
        self._seen_at = math.inf
        """When it was first seen, by the loop's clock."""

    @property
    def retiring(self) -> bool:
        """See `Channel.retiring`."""
        return self._connection.draining

    async def opening(self, timeout_s: float | None) -> None:
        """Wait for the server to open the session."""
        await self._wait(timeout_s, "the session could not be opened")

    @property
    def traces(self) -> bool:
        """See `Channel.traces`."""
        return self._connection.traces

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = "") -> Answer:
        """See `Channel.request`."""
        if self.lost is not None:
            raise self.lost
        size = len(payload)
        if size > self._connection.max_message_bytes:
            raise too_large(size, self._connection.max_message_bytes)
        self._rid = self.request_id = rid = self._rid + 1
        self._waiter = self._loop.create_future()
        frame: Step | Reset | GetState
        if kind == "step":
            frame = Step(self.sid, rid, msgspec.Raw(payload), timeout_s, trace)
        elif kind == "reset":
            frame = Reset(self.sid, rid, msgspec.Raw(payload), timeout_s, trace)
        else:
            frame = GetState(self.sid, rid, timeout_s, trace)
        self._frame = frame
        try:
            self._connection.ask(frame, size)
            if timeout_s is not None:
                return await self._wait(timeout_s + ANSWER_SLACK_S, f"{kind}()")
            return await self._waiter
        except (asyncio.CancelledError, StepTimeout) as exc:
            if not isinstance(exc, StepTimeout) or exc.details.get("local"):
                self._frame = None
                self._given_up.append(rid)
                self._connection.put(Cancel(self.sid, rid))
            self._mark(exc)
            raise
        except EnvError as exc:
            self._mark(exc)
            raise

    def _mark(self, error: BaseException) -> None:
        """Say in an error whose it is, by the names that the server's log has for it."""
        if isinstance(error, EnvError):
            error.session_id, error.request_id = self.session_id, self._rid or None

    async def _wait(self, timeout_s: float | None, what: str) -> Answer:
        waiter = self._waiter
        if timeout_s is None:
            return await waiter
        timer = self._loop.call_later(timeout_s, self._expire, waiter, timeout_s, what)
        try:
            return await waiter
        finally:
            timer.cancel()

    def look(self, now: float) -> None:
        """Give up on a call that has waited for longer than the client's `message_timeout_s`, as far as looks tell.

        The connection looks now and then, which costs less than a timer for every call, or the time of its beginning.
        """
        if self._timeout_s is None or self._frame is None or self._frame.timeout_s is not None:
            self._seen = 0
        elif self._seen != self._rid:
            self._seen, self._seen_at = self._rid, now
        elif now - self._seen_at > self._timeout_s and not self._waiter.done():
            self._expire(self._waiter, self._timeout_s, "the call")

    def _expire(self, waiter: asyncio.Future[Answer], timeout_s: float, what: str) -> None:
        if not waiter.done():
            text = f"{what}: no answer within {timeout_s:g} s; the server was told to stop, and the session can go on"
            waiter.set_exception(StepTimeout(text, timeout_s=timeout_s, session_usable=True, local=True))

    def resolve(self, rid: int, answer: Answer | EnvError) -> None:
        """Take the server's answer to request `rid`; one that nobody waits for any longer is dropped."""
        if rid != self._rid or self._waiter.done():
            return
        self._frame = None
        if self._given_up:
            self._given_up.clear()
        if isinstance(answer, EnvError):
            self._waiter.set_exception(answer)
        else:
            self._waiter.set_result(answer)

    def fail(self, rid: int, error: EnvError) -> None:
        """Take the server's refusal: of a request, of the opening, or of the resumption."""
        if rid == 0 and self.session_id is not None:
            self.end(SessionLost(f"the session could not be resumed: {error}; call reset() for a new session"))
        else:
            self.resolve(rid, error)

    def once_more(self) -> list[tuple[AnyFrame, int]]:
        """Give what a server must hear on a new connection, with the sizes of payloads; the old one lost it, or not."""
        frames: list[tuple[AnyFrame, int]] = [(Resume(self.sid, self.session_id or "", self.token), 0)]
        if self._closing:
            frames.append((Close(self.sid), 0))
            return frames
        frames += [(Cancel(self.sid, rid), 0) for rid in self._given_up]
        if self._frame is not None:
            frames.append((self._frame, len(getattr(self._frame, "data", b""))))
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
        self._mark(error)
        self.lost = self.lost or error
        self._frame = None
        if not self._waiter.done():
            self._waiter.set_exception(error)
            # Whoever waited may have been cancelled in this very turn.
            self._waiter.exception()
        if not self._over.done():
            self._over.set_result(None)
        self._connection.forget(self)

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        self._closing = True
        if not self._over.done():
            self._connection.put(Close(self.sid))
            await asyncio.wait([self._over], timeout=CLOSE_WAIT_S)
        self.end(SessionLost("the session was closed"))

    def abandon(self) -> None:
        """See `Channel.abandon`."""
        if not self._over.done():
            self._connection.put(Close(self.sid))
        self._connection.forget(self)


"""Seconds that `aclose` waits for what is queued to leave."""


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
        self._look_s = math.inf
        self._looker: asyncio.TimerHandle | None = None
        self._left: set[asyncio.Future[None]] = set()
        """Lost links on their way to be closed."""
        self.lost: SessionLost | None = None
        self.draining = False
        """The server has said that it is stopping."""
        self._most_received = max_message_bytes
        self._begin(greeted)
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="openenv client reader")

    def _begin(self, greeted: Greeted) -> None:
        """Take a link, the first or one that replaces a lost one, with the server's word on it."""
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
        if timeout_s is not None:
            self._look_every(timeout_s / 10)
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
        """Say whether new sessions may be opened on it."""
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
        """Queue a frame to leave with the others of this turn; while the server is sought, its session keeps it."""
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

    def _look_every(self, interval_s: float) -> None:
        """Look for calls that have waited for too long, at least this often and at least every second."""
        if interval_s < self._look_s:
            self._look_s = min(1.0, interval_s)
            if self._looker is not None:
                self._looker.cancel()
            self._look()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for channel in list(self._channels.values()):
            channel.look(now)
        self._looker = None if self.lost is not None else loop.call_later(self._look_s, self._look)

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
                # The loop ends with sessions open. Said so, the server need not wait for anybody to come back.
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
        if self._looker is not None:
            self._looker.cancel()
        for channel in list(self._channels.values()):
            channel.end(SessionLost(reason.message + "; call reset() for a new session"))

    def _dispatch(self, frame: ServerFrame | BadFrame) -> None:
        if type(frame) is Reply:
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.resolve(frame.rid, self._answer(frame))
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

    def _answer(self, frame: Reply) -> Answer | EnvError:
        data, warnings = bytes(frame.data), frame.warnings
        size = len(data)
        if size > self._kept_above:
            # Until it knows that this has arrived, the server keeps it.
            self.put(Ack(frame.sid, frame.rid))
        if size > self._most_received:
            return too_large(size, self._most_received)
        return Answer(data, tuple(warnings)) if warnings else Answer(data)
