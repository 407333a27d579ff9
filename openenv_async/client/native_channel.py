"""One session on a shared native connection: requests as futures that the connection's reader resolves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from openenv_async.client.channel import Answer, RequestKind
from openenv_async.errors import EnvError, SessionBroken, SessionLost, StepTimeout
from openenv_async.protocol.batches import too_large
from openenv_async.protocol.frames import AnyFrame, Cancel, Close, Closed, GetState, Reset, Resume, Step

if TYPE_CHECKING:
    from openenv_async.client.native import NativeConnection

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
