"""One session on a shared native connection: requests as futures that the connection's reader resolves."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import msgspec

from openenv_async.client.channel import Answer, RequestKind
from openenv_async.errors import EnvError, SessionLost, StepTimeout
from openenv_async.protocol.batches import too_large
from openenv_async.protocol.frames import AnyFrame, Cancel, Close, GetState, Reset, Step

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
        self._connection = connection
        self._timeout_s = timeout_s
        self._rid = 0
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.lost: EnvError | None = None
        self.patience = math.inf
        """When the call in flight has taken too long, by the loop's clock; the connection looks now and then, which
        costs less than a timer for every call."""

    async def opening(self, timeout_s: float | None) -> None:
        """Wait for the server to open the session."""
        await self._wait(timeout_s, "the session could not be opened")

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None) -> Answer:
        """See `Channel.request`."""
        if self.lost is not None:
            raise self.lost
        size = len(payload)
        if size > self._connection.max_message_bytes:
            raise too_large(size, self._connection.max_message_bytes)
        self._rid += 1
        rid = self._rid
        self._waiter = self._loop.create_future()
        frame: AnyFrame
        if kind == "step":
            frame = Step(self.sid, rid, msgspec.Raw(payload), timeout_s)
        elif kind == "reset":
            frame = Reset(self.sid, rid, msgspec.Raw(payload), timeout_s)
        else:
            frame = GetState(self.sid, rid, timeout_s)
        try:
            if self._connection.crowded:
                self._connection.put(frame, size)
            else:
                await self._connection.ask(frame, size)
            if timeout_s is not None:
                return await self._wait(timeout_s + ANSWER_SLACK_S, f"{kind}()")
            if self._timeout_s is not None:
                self.patience = self._loop.time() + self._timeout_s
            return await self._waiter
        except (asyncio.CancelledError, StepTimeout) as exc:
            if not isinstance(exc, StepTimeout) or exc.details.get("local"):
                self._connection.put(Cancel(self.sid, rid))
            raise

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
        """Give up on a call that has waited for longer than the client's `message_timeout_s`."""
        if now > self.patience and not self._waiter.done():
            self._expire(self._waiter, self._timeout_s or 0.0, "the call")

    def _expire(self, waiter: asyncio.Future[Answer], timeout_s: float, what: str) -> None:
        if not waiter.done():
            text = f"{what}: no answer within {timeout_s:g} s; the server was told to stop, and the session can go on"
            waiter.set_exception(StepTimeout(text, timeout_s=timeout_s, session_usable=True, local=True))

    def resolve(self, rid: int, answer: Answer | EnvError) -> None:
        """Take the server's answer to request `rid`; one that nobody waits for any longer is dropped."""
        if rid != self._rid or self._waiter.done():
            return
        self.patience = math.inf
        if isinstance(answer, EnvError):
            self._waiter.set_exception(answer)
        else:
            self._waiter.set_result(answer)

    def end(self, error: EnvError) -> None:
        """The session is over: fail what waits and everything later."""
        self.lost = self.lost or error
        if not self._waiter.done():
            self._waiter.set_exception(error)
            # Whoever waited may have been cancelled in this very turn.
            self._waiter.exception()
        if not self._over.done():
            self._over.set_result(None)
        self._connection.forget(self)

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        if not self._over.done():
            self._connection.put(Close(self.sid))
            await asyncio.wait([self._over], timeout=CLOSE_WAIT_S)
        self.end(SessionLost("the session was closed"))

    def abandon(self) -> None:
        """See `Channel.abandon`."""
        if not self._over.done():
            self._connection.put(Close(self.sid))
        self._connection.forget(self)
