"""What a check of a server says: one finding for each thing that was tried, and the report of them all.

Owns the vocabulary and its JSON form. Checks raise `Broke` and `NotJudged`, or
return a sentence when the promise held; `runner` makes findings of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from openenv_async import __version__

Verdict = Literal["held", "broke", "not judged"]

VERDICTS: tuple[Verdict, ...] = ("held", "broke", "not judged")

FORMAT = 1
"""Of the JSON report; grows when a key changes its meaning."""


class Broke(Exception):
    """The server did not keep a promise.

    Args:
        expected: what it should have done.
        happened: what it did.
    """

    def __init__(self, expected: str, happened: str) -> None:
        super().__init__(f"expected {expected}; {happened}")
        self.expected, self.happened = expected, happened


class NotJudged(Exception):
    """Nothing can be said about this promise here; the text says why. Not a failure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was tried, and how the server took it."""

    id: str
    tries: str
    """What was tried."""

    verdict: Verdict
    sentence: str
    """What was seen, or why nothing could be said."""

    expected: str | None = None
    """Of what broke: what the server should have done; `sentence` says what it did."""

    why: str | None = None
    """Of what broke: what it costs whoever trains on this server."""

    duration_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Give the fields for the machine-readable report."""
        return {
            "id": self.id,
            "tries": self.tries,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "expected": self.expected,
            "why": self.why,
            "duration_s": round(self.duration_s, 3),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long calls took, in milliseconds. Information, not a verdict."""

    calls: int
    median_ms: float
    p95_ms: float
    slowest_ms: float

    def as_json(self) -> dict[str, Any]:
        """Give the fields for the machine-readable report."""
        return {
            "calls": self.calls,
            "median_ms": round(self.median_ms, 3),
            "p95_ms": round(self.p95_ms, 3),
            "slowest_ms": round(self.slowest_ms, 3),
        }


def latency_of(seconds: list[float]) -> Latency | None:
    """Sum up durations given in seconds; None when there are none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return Latency(
        calls=len(ordered),
        median_ms=ordered[last // 2] * 1000,
        p95_ms=ordered[round(last * 0.95)] * 1000,
        slowest_ms=ordered[last] * 1000,
    )


@dataclass(kw_only=True)
class Report:
    """What one run found. Filled while it goes on, so that an interrupted one has what was found so far."""

    target: str
    chaos: bool
    findings: list[Finding] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)
    """`json`, `native`: what the server speaks."""

    features: list[str] = field(default_factory=list)
    """What the server's hello announces."""

    max_sessions: int | None = None
    """What the server says it holds, else what it was seen to hold."""

    latency: Latency | None = None
    """Of steps with nothing else going on."""

    neighbour: Latency | None = None
    """Of the steps of the session that was played beside the chaos."""

    complete: bool = False
    """Every check was made or passed over; False when the run was interrupted."""

    duration_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing broke, and nothing was left out."""
        return self.complete and not self.count("broke")

    def count(self, verdict: Verdict) -> int:
        """How many findings have this verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Give the machine-readable report."""
        return {
            "format": FORMAT,
            "runtime": __version__,
            "target": self.target,
            "chaos": self.chaos,
            "ok": self.ok,
            "complete": self.complete,
            "server": {"wires": self.wires, "features": self.features, "max_sessions": self.max_sessions},
            "counts": {verdict: self.count(verdict) for verdict in VERDICTS},
            "checks": [finding.as_json() for finding in self.findings],
            "latency": None if self.latency is None else self.latency.as_json(),
            "neighbour": None if self.neighbour is None else self.neighbour.as_json(),
            "duration_s": round(self.duration_s, 3),
        }
