"""A session that is called and awaited, for wires that are one request and one answer: HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv_async.errors import SessionBusy, SessionLost
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.session import Session


class DirectSession:
    """One session and its own sink. Make it with `open_direct()`; `await call()`; `await aclose()`."""

    wire = "http"

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()
        self._waiters: dict[int, asyncio.Future[Outcome]] = {}
        self._rid = 0
        self.session: Session | None = None

    @property
    def id(self) -> str:
        """The session's name."""
        return self.session.id if self.session is not None else ""

    @property
    def request_id(self) -> int:
        """The number of the newest call, which the log has too."""
        return self._rid

    async def call(self, call: Call) -> Outcome:
        """Do one call.

        Raises:
            EnvError: what went wrong, or `SessionLost` when the session has ended.
            CancelledError: the call is stopped if it can be.
        """
        if self.session is None or self._over.done():
            raise SessionLost("the session has ended; reset to begin another")
        if self._waiters:
            raise SessionBusy(f"session {self.id} is busy with another request; wait for its answer")
        self._rid += 1
        rid = self._rid
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters[rid] = waiter
        self.session.submit(rid, call)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.session.cancel(rid)
            raise
        finally:
            self._waiters.pop(rid, None)

    async def aclose(self) -> None:
        """End the session; returns when its environment is closed and its slot is free."""
        if self.session is not None:
            self.session.close()
        await asyncio.shield(self._over)

    async def opening(self) -> None:
        """Wait until the environment is built.

        Raises:
            EnvError: no slot, or the factory failed.
        """
        await self._opened

    @property
    def over(self) -> asyncio.Future[None]:
        """Done when the session has ended."""
        return self._over

    def opened(self, session: Session) -> None:
        """See `Sink.opened`."""
        if not self._opened.done():
            self._opened.set_result(None)

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> None:
        """See `Sink.deliver`."""
        waiter = self._waiters.get(rid)
        if waiter is None or waiter.done():
            return
        if isinstance(outcome, BaseException):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Sink.ended`."""
        reason = error or SessionLost("the session has ended; reset to begin another")
        waiters: list[asyncio.Future[Any]] = [self._opened, *self._waiters.values()]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(reason)
                # Whoever waited may have gone; the error is theirs, not the loop's.
                waiter.exception()
        if not self._over.done():
            self._over.set_result(None)


async def open_direct(registry: Registry, idle_timeout_s: float | None = None) -> DirectSession:
    """Open a session, refusing at once when every slot is taken.

    Raises:
        EnvError: no slot, or the factory failed.
    """
    direct = DirectSession()
    direct.session = registry.open(direct, idle_timeout_s=idle_timeout_s)
    try:
        await direct.opening()
    except asyncio.CancelledError:
        direct.session.close()
        raise
    return direct
