"""The rules of use: which call a client may make when, and what it remembers of a session that has ended.

Owns the state behind the rules; `env` makes the calls.
"""

from __future__ import annotations

import asyncio
import threading

from openenv_async.client.channel import Channel
from openenv_async.errors import (
    ClientClosed,
    EnvError,
    NotConnected,
    NotReset,
    SessionBroken,
    SessionBusy,
    SessionLost,
    StepTimeout,
    WrongLoop,
)


class Rules:
    """The half of `AsyncEnv` that says no."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        """Where that loop runs."""
        self._lost: EnvError | None = None
        self._began = False
        self._busy = False
        self._closed = False

    @property
    def connected(self) -> bool:
        """A session is open and, as far as this side knows, alive."""
        return self._channel is not None and self._channel.lost is None and self._lost is None

    def _check_loop(self) -> None:
        # What asyncio.get_running_loop() says, without the system call that it makes: one loop runs in one thread.
        if self._loop is None or threading.get_ident() != self._thread or not self._loop.is_running():
            raise WrongLoop(
                f"this {type(self).__name__} was connected in another event loop; make one in this loop, or use SyncEnv"
            )

    def _may_call(self, name: str, timeout_s: float | None) -> Channel | None:
        """Check the rules of use; None when the session is gone and `reset` is to open another."""
        channel, loop = self._channel, self._loop
        if (
            self._began
            and not self._busy
            and self._lost is None
            and timeout_s is None
            and channel is not None
            and channel.lost is None
            and loop is not None
            and threading.get_ident() == self._thread
            and loop.is_running()
        ):
            return channel  # what nearly every call finds, without the questions one by one
        return self._judge(name, timeout_s)

    def _judge(self, name: str, timeout_s: float | None) -> Channel | None:
        channel = self._channel
        if self._closed:
            raise ClientClosed(f"{name}() came after close(); make a new {type(self).__name__}")
        if self._busy:
            raise SessionBusy(
                f"{name}() came while another call of this session is in flight; await that first, or use one "
                f"{type(self).__name__} per concurrent episode"
            )
        if self._loop is None:
            client = type(self).__name__
            raise NotConnected(f"{name}() came before connect(); use `async with` or await {client}.connect(url)")
        self._check_loop()
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s!r}")
        if self._lost is None and channel is not None:
            self._lost = channel.lost
        if self._lost is not None or channel is None:
            if name == "reset":
                return None
            if self._lost is None:
                raise NotConnected("the last connect() failed; await reset() or connect() to try again")
            lost = type(self._lost)(self._lost.message, **self._lost.details)
            lost.session_id = None if channel is None else channel.session_id
            raise lost
        if name == "step" and not self._began:
            raise NotReset(f"{name}() came before the first reset(); await reset() to begin an episode")
        return channel

    async def _leave_session(self) -> None:
        """End the session, so that the next `reset` opens another; a cancelled call leaves it to end by itself."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            await channel.aclose()
        except asyncio.CancelledError:
            channel.abandon()
            raise

    def _note(self, exc: Exception) -> None:
        """Remember that the session is gone, so that nothing goes on without a reset."""
        if isinstance(exc, StepTimeout):
            if not exc.details.get("session_usable"):
                text = "the session is broken: its environment did not come back from an earlier call; call reset()"
                self._lost = SessionBroken(text)
        elif isinstance(exc, (SessionLost, SessionBroken)):
            self._lost = exc
