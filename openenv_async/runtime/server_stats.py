"""Sums up what the sessions of one server did, those that have ended included: for whoever asks who plays here.

The figures are kept by the sessions themselves (`session_stats`), since a step of a quick environment takes
the server some microseconds. `server.operators` shows them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from openenv_async.runtime.session import Session
from openenv_async.runtime.session_observer import Watch

SAMPLE = 4096
"""Steps that the whole server's latencies are taken over, about: thousands of sessions are looked at on the loop."""


class Census(Watch):
    """A `Watch` that knows who is there, and remembers what those did who have left."""

    hears_quick = False

    def __init__(self) -> None:
        self.began_at = time.time()
        self._sessions: set[Session] = set()
        self._steps = self._episodes = self._errors = 0

    @property
    def steps(self) -> int:
        """Steps of all sessions, those that have ended included."""
        return self._steps + sum(session.steps for session in self._sessions)

    @property
    def episodes(self) -> int:
        """Episodes; likewise."""
        return self._episodes + sum(session.episodes for session in self._sessions)

    @property
    def errors(self) -> int:
        """Calls that gave an error; likewise."""
        return self._errors + sum(session.tally.errors for session in self._sessions)

    def latencies_s(self) -> Iterator[float]:
        """Give those of the last steps of the sessions that are there; of many sessions, fewer of each."""
        each = max(1, SAMPLE // max(1, len(self._sessions)))
        for session in self._sessions:
            yield from islice(reversed(session.tally.latencies_s), each)

    # What follows is `watch.Watch`.

    def waiting(self, session: Session) -> None:
        """See `Watch.waiting`."""
        self._sessions.add(session)

    def opened(self, session: Session) -> None:
        """See `Watch.opened`."""
        session.tally.since = time.perf_counter()

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Watch.ended`."""
        if session in self._sessions:
            self._sessions.discard(session)
            self._steps += session.steps
            self._episodes += session.episodes
            self._errors += session.tally.errors
