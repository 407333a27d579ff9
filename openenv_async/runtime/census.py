"""Counts what each session does, as cheaply as can be: for whoever asks who plays here.

Owns the figures that a session itself does not keep: the latencies of its last steps,
its errors, and since when it is idle. `server.operators` shows them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.session import Session
from openenv_async.runtime.watch import Watch

RECENT = 32
"""Steps that a session's latencies are taken over."""

SAMPLE = 4096
"""Steps that the whole server's latencies are taken over, about: thousands of sessions are looked at on the loop."""


class Tally:
    """What one session did."""

    __slots__ = ("errors", "last_s", "latencies_s", "since")

    def __init__(self) -> None:
        self.latencies_s: deque[float] = deque(maxlen=RECENT)
        """Of its last steps, the newest last."""
        self.errors = 0
        self.last_s = 0.0
        """How long its newest call took."""
        self.since = time.perf_counter()
        """When it was asked for, or opened."""


class Census(Watch):
    """A `Watch` that counts."""

    def __init__(self) -> None:
        self.began_at = time.time()
        self._tallies: dict[Session, Tally] = {}
        self._steps = self._episodes = self._errors = 0

    def of(self, session: Session) -> Tally:
        """Give a session's figures; of one that it has not heard of, empty ones."""
        return self._tallies.get(session) or Tally()

    @property
    def steps(self) -> int:
        """Steps of all sessions, those that have ended included."""
        return self._steps + sum(session.steps for session in self._tallies)

    @property
    def episodes(self) -> int:
        """Episodes; likewise."""
        return self._episodes + sum(session.episodes for session in self._tallies)

    @property
    def errors(self) -> int:
        """Calls that gave an error; likewise."""
        return self._errors + sum(tally.errors for tally in self._tallies.values())

    def latencies_s(self) -> Iterator[float]:
        """Give those of the last steps of the sessions that are there; of many sessions, fewer of each."""
        each = max(1, SAMPLE // max(1, len(self._tallies)))
        for tally in self._tallies.values():
            yield from islice(reversed(tally.latencies_s), each)

    # What follows is `watch.Watch`.

    def waiting(self, session: Session) -> None:
        """See `Watch.waiting`."""
        self._tallies[session] = Tally()

    def opened(self, session: Session) -> None:
        """See `Watch.opened`."""
        self._tallies[session].since = time.perf_counter()

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        """See `Watch.called`."""
        tally = self._tallies[session]
        tally.last_s = latency_s
        if type(outcome) is not Outcome:
            tally.errors += 1
        elif call.kind == "step":
            tally.latencies_s.append(latency_s)

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Watch.ended`."""
        tally = self._tallies.pop(session, None)
        if tally is not None:
            self._steps += session.steps
            self._episodes += session.episodes
            self._errors += tally.errors
