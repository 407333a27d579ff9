"""A session that is called and awaited, for wires that are one request and one answer: HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv_async.errors import SessionBusy, SessionLost
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.session import Session, Sink


class RequestSession(Sink):
    """One session and its own sink. Make it with `open_request_session()`; `await call()`; `await aclose()`."""

    wire = "http"

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        """Done when the session has ended."""
        self._waiter: asyncio.Future[Outcome] | None = None
        self.request_id = 0
        """The number of the newest call, which the log has too."""
        self.id = ""
        """The session's id."""
        self.session: Session | None = None

    async def call(self, call: Call) -> Outcome:
        """Make one call.

        Raises:
            EnvError: what went wrong, or `SessionLost` when the session has ended.
            CancelledError: the call is stopped if it can be.
        """
        if self.session is None or self.over.done():
            raise SessionLost("the session has ended; reset to begin another")
        if self._waiter is not None:
            raise SessionBusy(f"session {self.id} is busy with another request; wait for its answer")
        self.request_id = rid = self.request_id + 1
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self.session.submit(rid, call)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.session.cancel(rid)
            raise
        finally:
            self._waiter = None

    async def aclose(self) -> None:
        """End the session; returns when its environment is closed and its slot is free."""
        if self.session is not None:
            self.session.close()
        await asyncio.shield(self.over)

    async def open(self, session: Session) -> None:
        """Wait until the environment of `session`, whose sink this is, is built; a cancelled wait closes the session.

        Raises:
            EnvError: no slot, or the factory failed.
        """
        self.session, self.id = session, session.id
        try:
            await self._opened
        except asyncio.CancelledError:
            session.close()
            raise

    def opened(self, session: Session) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done() or rid != self.request_id:
            return
        if isinstance(outcome, BaseException):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def ended(self, session: Session, error: BaseException | None) -> None:
        reason = error or SessionLost("the session has ended; reset to begin another")
        waiters: list[asyncio.Future[Any] | None] = [self._opened, self._waiter]
        for waiter in waiters:
            if waiter is not None and not waiter.done():
                waiter.set_exception(reason)
                # Retrieved here, because the caller may have gone.
                waiter.exception()
        if not self.over.done():
            self.over.set_result(None)


async def open_request_session(registry: Registry, idle_timeout_s: float | None = None) -> RequestSession:
    """Open a session, refusing at once when every slot is taken.

    Raises:
        EnvError: no slot, or the factory failed.
    """
    requests = RequestSession()
    await requests.open(registry.open(requests, idle_timeout_s=idle_timeout_s))
    return requests
