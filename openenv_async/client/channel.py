"""The contract between `AsyncEnv` and a wire: one session, one request at a time, bytes both ways."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

from openenv_async.errors import EnvError

RequestKind = Literal["reset", "step", "state"]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A reply's bytes, in the channel's wire, and what was not done as asked."""

    data: bytes
    warnings: tuple[str, ...] = ()


class Channel(Protocol):
    """An open session on a server."""

    native: bool
    """Bytes are msgpack; False: OpenEnv's JSON."""

    on_resumed: Callable[[], None] | None
    """Called each time the session continues over a new connection."""

    @property
    def session_id(self) -> str | None:
        """The server's name for the session, where the wire has one."""

    @property
    def request_id(self) -> int | None:
        """The server's name for the newest request, which its log has too."""

    @property
    def traces(self) -> bool:
        """The server makes spans, as children of those that `request` names."""

    @property
    def lost(self) -> EnvError | None:
        """Why the session is over, as far as this side knows; None while it lives."""

    @property
    def retiring(self) -> bool:
        """Its server is stopping: a new episode needs a new session."""

    def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = "") -> Awaitable[Answer]:
        """Send a request and return what to await for its answer.

        A caller that stops waiting, because it was cancelled, calls `give_up`.

        Args:
            kind: what to do.
            payload: the action or the arguments, encoded for the channel's wire.
            timeout_s: seconds the server may take; None: the client's `message_timeout_s`, which the server does not
                know.
            trace: the W3C `traceparent` of the caller's span, where there is one.

        Raises:
            SessionLost: the session has ended with its connection or its server.
            StepTimeout: no answer in time.
            EnvError: what the server answered.
        """

    def give_up(self) -> None:
        """Tell the server to stop the request in flight; a late answer is dropped, never taken for another's."""

    async def aclose(self) -> None:
        """End the session; returns when its slot is free, or after some seconds. Safe to repeat, never raises."""

    def abandon(self) -> None:
        """End the session without waiting, for a client that was not closed."""


BLOCKED_S = 0.1
"""A timer that fires this late had to wait for a blocked loop, and the answer may already be in the socket."""

GRACE_S = 0.25
"""Seconds to read what arrived while the loop was blocked."""


class CallTimer:
    """One timer for the calls of a session, which follow each other.

    A call sets `due` and calls `arm()` if that is before `fires_at`; when it ends, `due` is `math.inf` again. So the
    timer of the event loop moves only when it fires, and a call does not need one of its own.
    """

    def __init__(self, expired: Callable[[], None]) -> None:
        self.due = math.inf
        self.fires_at = math.inf
        self._expired, self._loop = expired, asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Fire at `due`."""
        self.stop()
        self.fires_at = self.due
        self._handle = self._loop.call_at(self.due, self._fired)

    def stop(self) -> None:
        """Do not fire. Safe to repeat."""
        self.fires_at = math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fired(self) -> None:
        late_s = self._loop.time() - self.fires_at
        self.fires_at, self._handle = math.inf, None
        if self.due == math.inf:
            return
        if late_s > BLOCKED_S:
            self.due = max(self.due, self._loop.time() + GRACE_S)
        if self.due > self._loop.time():
            self.arm()
        else:
            self.due = math.inf
            self._expired()
