"""Counters and histograms of one server's sessions, from which `exposition` makes Prometheus families.

Quick steps, the most frequent calls, are not counted here: sessions keep their number and their time anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from openenv_async import errors
from openenv_async.errors import EnvError, StepTimeout
from openenv_async.runtime.calls import Call, CallCancelled, CallKind, Outcome
from openenv_async.runtime.session import Session, SessionObserver
from openenv_async.runtime.session_stats import QUICK_S, QUICK_US

FIRST_US = QUICK_US
"""Bound of the first bucket, in microseconds."""

BUCKETS = 21
"""Number of bounds: 64 us, 128 us, and so on up to 67 s. One more bucket counts longer durations."""

_SHIFT = FIRST_US.bit_length() - 1

BOUNDS_S: Sequence[float] = tuple((FIRST_US << at) / 1e6 for at in range(BUCKETS))


class Histogram:
    """Counts durations in buckets that double."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (BUCKETS + 1)
        self.total_s = 0.0
        """The sum of all durations, in seconds."""

    def add(self, duration_s: float) -> None:
        """Count a duration."""
        self.total_s += duration_s
        at = (int(duration_s * 1e6) >> _SHIFT).bit_length()
        self.counts[at if at < BUCKETS else BUCKETS] += 1

    def cumulative(self, more_in_first: int = 0) -> list[tuple[str, float]]:
        """Return each bound in seconds, as text, with the number of durations up to it; the last bound is `+Inf`.

        Args:
            more_in_first: number of durations in the first bucket that were counted elsewhere.
        """
        found, so_far = [], more_in_first
        for at, count in enumerate(self.counts):
            so_far += count
            found.append((repr(BOUNDS_S[at]) if at < BUCKETS else "+Inf", float(so_far)))
        return found


KINDS: tuple[CallKind, ...] = get_args(CallKind)

ALWAYS: tuple[CallKind, ...] = ("reset", "step", "state")
"""Calls that are shown from the start; other kinds are shown after the first call."""

INTERNAL = "INTERNAL"
"""The code of an exception that is not an `EnvError`: a bug in the runtime."""

OTHER = "OTHER"
"""Stands for all codes that the runtime does not define, as authors may define any number of them."""

_KNOWN = frozenset(cls.code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, EnvError))


class Metrics(SessionObserver):
    """Counts sessions, calls and errors."""

    wants_quick = False

    def __init__(self) -> None:
        self.latencies = {kind: Histogram() for kind in KINDS}
        """By kind, without the steps that are in `quick_s`."""
        self._quick_s = 0.0
        self.errors: Counter[str] = Counter()
        """By code: failed calls, sessions that could not be opened, refused requests."""
        self.deadlines: Counter[str] = Counter()
        """Deadlines that passed, by kind of call."""
        self.cancelled = 0
        """Calls that were cancelled by their caller."""
        self.opened_total = self.refused_total = self.detached_total = self.resumed_total = 0
        self.ended_total: Counter[str] = Counter()
        """By reason: `closed`, or the code of an error."""
        self._sessions: set[Session] = set()
        self._waiting: set[Session] = set()
        """Sessions that are not open yet."""
        self._steps = self._episodes = 0
        self._slow_steps = 0

    @property
    def steps(self) -> int:
        """Steps that returned an observation, in all sessions since the start."""
        return self._steps + sum(session.steps for session in self._sessions)

    @property
    def episodes(self) -> int:
        """Resets that returned an observation, in all sessions since the start."""
        return self._episodes + sum(session.episodes for session in self._sessions)

    @property
    def quick_s(self) -> float:
        """Seconds of all steps shorter than the bound of the first bucket."""
        return self._quick_s + sum(session.stats.quick_s for session in self._sessions)

    @property
    def quick_steps(self) -> int:
        """Number of steps shorter than the bound of the first bucket."""
        return max(0, self.steps - self._slow_steps)

    def failed(self, error: BaseException) -> None:
        """Count an error that was sent to a client."""
        code = error.code if isinstance(error, EnvError) else INTERNAL
        self.errors[code if code in _KNOWN or code == INTERNAL else OTHER] += 1

    def waiting(self, session: Session) -> None:
        self._sessions.add(session)
        self._waiting.add(session)

    def opened(self, session: Session) -> None:
        self._waiting.discard(session)
        self.opened_total += 1

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        if latency_s >= QUICK_S or type(outcome) is not Outcome or call.kind != "step":
            self._count(call.kind, outcome, latency_s)

    def _count(self, kind: CallKind, outcome: Outcome | BaseException, latency_s: float) -> None:
        self.latencies[kind].add(latency_s)
        if isinstance(outcome, Outcome):
            if kind == "step":
                self._slow_steps += 1
        elif isinstance(outcome, CallCancelled):
            self.cancelled += 1
        else:
            self.failed(outcome)
            if isinstance(outcome, StepTimeout):
                self.deadlines[kind] += 1

    def detached(self, session: Session) -> None:
        self.detached_total += 1

    def attached(self, session: Session) -> None:
        self.resumed_total += 1

    def ended(self, session: Session, error: BaseException | None) -> None:
        self._sessions.discard(session)
        self._steps += session.steps
        self._episodes += session.episodes
        self._quick_s += session.stats.quick_s
        if error is not None and session in self._waiting:
            self.refused_total += 1
            self.failed(error)
        self._waiting.discard(session)
        if error is None:
            self.ended_total["closed"] += 1
            return
        code = error.code if isinstance(error, EnvError) else INTERNAL
        self.ended_total[code if code in _KNOWN else OTHER] += 1
