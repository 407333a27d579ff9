"""Sessions whose connection is lost: how long they wait, and what a client must present to resume one.

Owns the secrets and the resume window. The session's task goes on meanwhile (`session`); `server.native` attaches
the session to the client's next connection.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Mapping

from openenv_async.errors import SessionLost
from openenv_async.runtime.calls import Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.session import Session, Sink

logger = logging.getLogger("openenv_async")


class DetachedSessions(Sink):
    """The sessions between two connections, and their `Sink` meanwhile: each keeps its newest outcome itself.

    Args:
        sessions: all of the server's, by id.
        window_s: seconds that a session waits for its client; a call in flight is waited for beyond them.
    """

    wire = "native"
    """The only one whose sessions can be resumed."""

    def __init__(self, sessions: Mapping[str, Session], window_s: float) -> None:
        self._sessions = sessions
        self._window_s = window_s
        self._timers: dict[Session, asyncio.TimerHandle] = {}
        self._by_key: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def allow(self, session: Session, key: str) -> None:
        """Let a session outlive its connection; `key` is the secret with which its client opened it."""
        session.token = secrets.token_urlsafe(24)
        self._by_key[key] = session
        if session.task is not None:
            session.task.add_done_callback(functools.partial(self._forget, key, session))

    def _forget(self, key: str, session: Session, _: asyncio.Task[None]) -> None:
        if self._by_key.get(key) is session:
            del self._by_key[key]

    def keep(self, session: Session) -> bool:
        """Detach a session whose connection is lost, for the resume window; returns False when it cannot be resumed."""
        if not session.resumable:
            return False
        session.detach(self)
        if session.observer is not None:
            session.observer.detached(session)
        loop = asyncio.get_running_loop()
        self._timers[session] = loop.call_later(self._window_s, self._lapse, session)
        return True

    def find(self, session_id: str, token: str) -> Session | None:
        """Return the session that this token resumes, detached or on a connection that is not known to be lost."""
        session = self._sessions.get(session_id)
        # Compared in constant time, also where there is nothing to compare with.
        known = session.token if session is not None else ""
        if not secrets.compare_digest(token.encode(), known.encode()) or session is None or not known:
            return None
        return session if session.resumable else None

    def find_unused(self, key: str) -> Session | None:
        """Return the session that was opened with this key, if its client has sent no request yet."""
        session = self._by_key.get(key)
        return session if session is not None and session.unused else None

    def release(self, session: Session) -> None:
        """Stop the session's time: it has a connection again, or has ended."""
        timer = self._timers.pop(session, None)
        if timer is not None:
            timer.cancel()

    def _lapse(self, session: Session) -> None:
        del self._timers[session]
        text = "session %s ends: its client did not come back within %g s"
        logger.info(text, session.id, self._window_s, extra=about(session.id, event="session_lapsed"))
        session.finish(SessionLost(f"the client did not come back within {self._window_s:g} s"))

    def opened(self, session: Session) -> None:
        return

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> None:
        return

    def ended(self, session: Session, error: BaseException | None) -> None:
        self.release(session)
