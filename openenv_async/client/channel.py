"""The contract between `AsyncEnv` and a wire: one session, one request at a time, bytes both ways."""

from __future__ import annotations

from collections.abc import Callable
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

    @property
    def session_id(self) -> str | None:
        """The server's name for the session, where the wire tells it."""

    @property
    def request_id(self) -> int | None:
        """The server's name for the newest request, which its log has too."""

    @property
    def traces(self) -> bool:
        """The server makes spans, as children of those that `request` names."""

    @property
    def lost(self) -> EnvError | None:
        """Why the session is over, as far as this side knows; None while it lives."""

    on_resumed: Callable[[], None] | None
    """Called each time the session goes on over a new connection."""

    @property
    def retiring(self) -> bool:
        """Its server is stopping: a new episode needs a new session."""

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = "") -> Answer:
        """Ask and wait for the answer.

        Args:
            kind: what to do.
            payload: the action or the arguments, encoded for the channel's wire.
            timeout_s: seconds the server may take; None: the client's `message_timeout_s`, which only the client knows.
            trace: the W3C `traceparent` of the caller's span, where there is one.

        Raises:
            SessionLost: the session has gone with its connection or its server.
            StepTimeout: no answer in time.
            EnvError: what the server answered.
            CancelledError: the server is told; a late answer is dropped, never taken for another's.
        """

    async def aclose(self) -> None:
        """End the session; returns when its slot is free, or after some seconds. Safe to repeat, never raises."""

    def abandon(self) -> None:
        """End the session without waiting, for a client that was not closed."""
