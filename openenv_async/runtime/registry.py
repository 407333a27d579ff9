"""The table of a server's sessions on all wires, with one cap.

Owns each session's task from slot to closed environment. `admission_queue` owns the slots and their order.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter

import anyio

from openenv_async.errors import ServerClosing
from openenv_async.limits import Limits
from openenv_async.protocol.session_states import Move, State
from openenv_async.runtime.admission_queue import AdmissionQueue
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.current_session import about
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.factory import start_executor
from openenv_async.runtime.resumption import DetachedSessions
from openenv_async.runtime.session import Session, SessionObserver, Sink
from openenv_async.runtime.session_observer import combined

logger = logging.getLogger("openenv_async")

_MARGIN_S = 1.0
"""Seconds beyond `close_timeout_s` for an environment's close, which has that bound itself."""


class Registry:
    """The sessions of one server."""

    def __init__(self, blueprint: Blueprint, limits: Limits, max_sessions: int) -> None:
        self.blueprint = blueprint
        self.limits = limits
        self.max_sessions = max_sessions
        self.sessions: dict[str, Session] = {}
        """By id, every session that has not ended, those that wait for a slot included."""
        self.detached = DetachedSessions(self.sessions, limits.resume_window_s)
        """Those whose connection is lost."""
        self.closing = False
        self.observer: SessionObserver | None = None
        """Told of every session that begins from now on."""
        self.slots = AdmissionQueue(max_sessions, limits.max_waiting)

    @property
    def active(self) -> int:
        """Slots in use: environments that are being built, alive, or being closed."""
        return self.slots.held

    @property
    def waiting(self) -> int:
        """Sessions that wait for a slot."""
        return self.slots.waiting

    def by_state(self) -> dict[str, int]:
        """Return how many sessions are in each state; `opening` includes those that wait for a slot."""
        return dict(Counter(session.state.now.name.lower() for session in self.sessions.values()))

    def observe(self, observer: SessionObserver) -> None:
        """Add an observer of every session that begins from now on."""
        self.observer = combined(self.observer, observer)

    def open(
        self,
        sink: Sink,
        *,
        wait_s: float = 0.0,
        idle_timeout_s: float | None = None,
        party: object = None,
        trace: str = "",
    ) -> Session:
        """Open a session; the sink is told by `opened`, or by `ended` with the reason.

        Args:
            sink: where its results go.
            wait_s: seconds to wait for a slot; 0 refuses at once.
            idle_timeout_s: seconds without a request before it ends; None: never.
            party: shares its turns with its other sessions while slots are scarce; None: the sink.
            trace: the W3C `traceparent` of the client.
        """
        session = Session(str(uuid.uuid4()), self.limits, sink, idle_timeout_s)
        self.sessions[session.id] = session
        session.observer, session.trace = self.observer, trace
        if session.observer is not None:
            session.observer.waiting(session)
        task = session.start(self._live(session, wait_s, party or sink))
        task.add_done_callback(lambda _: self._never_began(session))
        return session

    def _never_began(self, session: Session) -> None:
        """Tell the sink of a task that was cancelled before its first step, so that it runs no `finally`."""
        if self.sessions.pop(session.id, None) is not None:
            session.state.move(Move.CLOSE)
            self._tell(session, session.reason or ServerClosing("the session was closed before it began"))

    async def drain(self, grace_s: float, *, episodes: bool = False) -> None:
        """End every session: calls in flight get `grace_s` seconds, then are cancelled; every `close()` runs.

        Args:
            grace_s: seconds until calls that still run are cancelled.
            episodes: let each session go on within that time until its episode is over or its client pauses.
        """
        self.closing = True
        tasks: dict[asyncio.Task[None], Session] = {}
        for session in list(self.sessions.values()):
            reason = ServerClosing("the server is stopping")
            if episodes:
                session.retire(reason, self.limits.drain_idle_s)
            else:
                session.finish(reason)
            if session.task is not None:
                tasks[session.task] = session
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        for task in late:
            # A closed one runs its environment's close(), which has a bound of its own.
            if tasks[task].state.now is not State.CLOSED:
                task.cancel()
        if late:
            await asyncio.wait(late, timeout=self.limits.close_timeout_s + _MARGIN_S)

    async def evict(self, session: Session, reason: BaseException, grace_s: float) -> bool:
        """End a session; returns when its environment is closed, or given up, and its slot is free.

        A coroutine in flight is cancelled at once. Plain code cannot be: in a thread it has `grace_s` seconds, then the
        thread is abandoned and closes its environment when the call ends; a process is killed.

        Args:
            session: of this event loop.
            reason: what its client is told.
            grace_s: seconds for a call that cannot be stopped.

        Returns:
            Whether a call was still running when its time was over.
        """
        task = session.task
        session.close(reason)
        if task is None or await _ended(task, grace_s):
            return False
        given_up = session.state.now is not State.CLOSED
        if given_up:
            task.cancel()
        # What closes its environment by now has a bound of its own.
        await _ended(task, session.limits.close_timeout_s + _MARGIN_S)
        return given_up

    async def _live(self, session: Session, wait_s: float, party: object) -> None:
        error: BaseException | None = None
        try:
            if self.closing:
                raise ServerClosing("the server is stopping and takes no new sessions")
            async with self.slots.slot(party, self._patience_s(wait_s)):
                executor = await start_executor(self.blueprint, session.id, self.limits.create_timeout_s)
                session.execution, session.pid = executor.execution, executor.pid
                try:
                    await session.serve(executor)
                finally:
                    session.state.move(Move.CLOSE)
                    await self._close(session, executor)
        except asyncio.CancelledError:
            error = session.reason or ServerClosing("the session was cancelled")
        except Exception as exc:  # the sink tells the caller; a bug of ours is logged on its way to the wire
            error = exc
        finally:
            del self.sessions[session.id]
            if session.state.may(Move.CLOSE):
                session.state.move(Move.CLOSE)
        self._tell(session, error or session.reason)

    def _tell(self, session: Session, error: BaseException | None) -> None:
        if session.observer is not None:
            session.observer.ended(session, error)
        session.sink.ended(session, error)

    def _patience_s(self, wait_s: float) -> float:
        """Seconds that a new session waits: also one that would not, while a slot is about to be free.

        The environment of a connection may still be closing when its client opens the next one.
        """
        if wait_s > 0 or self.slots.held < self.slots.total:
            return wait_s
        leaving = sum(session.is_leaving for session in self.sessions.values())
        return self.limits.close_timeout_s + _MARGIN_S if leaving > self.slots.waiting else wait_s

    async def _close(self, session: Session, executor: Executor) -> None:
        limit_s = self.limits.close_timeout_s
        with anyio.CancelScope(shield=True), anyio.move_on_after(limit_s) as scope:
            await executor.aclose()
        if scope.cancelled_caught:
            text = "close() of session %s did not finish within %g s; it is left behind"
            logger.warning(text, session.id, limit_s, extra=about(session.id, event="close_left_behind"))


async def _ended(task: asyncio.Task[None], timeout_s: float) -> bool:
    done, _ = await asyncio.wait([task], timeout=timeout_s)
    return bool(done)
