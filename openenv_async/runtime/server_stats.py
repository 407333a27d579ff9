"""Figures of one server, summed over its sessions, those that have ended included.

The sessions keep the figures (`session_stats`), since a step of a quick environment takes the server some
microseconds. `server.operators` shows them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from openenv_async.runtime.session import Session, SessionObserver

SAMPLE = 4096
"""Steps that the whole server's latencies are taken over, about: they are read on the event loop."""


class ServerStats(SessionObserver):
    """Sums up the sessions that are there, and remembers the sums of those that have ended."""

    wants_quick = False

    def __init__(self) -> None:
        self.began_at = time.time()
        self._sessions: set[Session] = set()
        self._steps = self._episodes = self._errors = 0

    @property
    def steps(self) -> int:
        """Steps of all sessions."""
        return self._steps + sum(session.steps for session in self._sessions)

    @property
    def episodes(self) -> int:
        """Episodes of all sessions."""
        return self._episodes + sum(session.episodes for session in self._sessions)

    @property
    def errors(self) -> int:
        """Calls of all sessions that ended with an error."""
        return self._errors + sum(session.stats.errors for session in self._sessions)

    def latencies_s(self) -> Iterator[float]:
        """Yield the latencies of recent steps of present sessions; the more sessions, the fewer of each."""
        each = max(1, SAMPLE // max(1, len(self._sessions)))
        for session in self._sessions:
            yield from islice(reversed(session.stats.latencies_s), each)

    def waiting(self, session: Session) -> None:
        self._sessions.add(session)

    def ended(self, session: Session, error: BaseException | None) -> None:
        if session in self._sessions:
            self._sessions.discard(session)
            self._steps += session.steps
            self._episodes += session.episodes
            self._errors += session.stats.errors
