"""What checks report: an outcome, the finding made of it, and the report of a run, with their JSON forms.

Both commands share all of it. `openenv check` only uses other words for the results
(`VERDICTS`) and other keys for a finding, as its documentation says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from openenv_async import __version__
from openenv_async.errors import EnvError

Level = Literal["static", "runtime", "full"]
Result = Literal["ok", "warned", "failed", "skipped"]
Verdict = Literal["held", "broke", "not judged"]

RESULTS: tuple[Result, ...] = ("ok", "warned", "failed", "skipped")
VERDICTS: dict[Result, Verdict] = {"ok": "held", "warned": "held", "failed": "broke", "skipped": "not judged"}

FORMAT = 1
"""Version of the JSON reports; grows when a key changes its meaning."""

Position = tuple[int | None, int | None]
"""Line and column, counted from 1."""

NOWHERE: Position = (None, None)


class NotAnEnvironment(EnvError):
    """There is nothing to check: no `openenv.yaml` in the folder, or no environment server at the address."""

    code = "NOT_AN_ENVIRONMENT"
    fault = "task"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check saw."""

    sentence: str
    result: Result = "ok"
    hint: str | None = None
    """What to do about it."""

    details: tuple[str, ...] = ()
    """Further lines, for those who ask."""

    expected: str | None = None
    """Of a failure: what should have happened, where the check says so; `sentence` says what did."""


def failed(sentence: str, hint: str | None = None, *details: str) -> CheckOutcome:
    """Return an outcome that something is wrong."""
    return CheckOutcome(sentence, "failed", hint, details)


def warned(sentence: str, hint: str | None = None, *details: str) -> CheckOutcome:
    """Return an outcome that something should be looked at."""
    return CheckOutcome(sentence, "warned", hint, details)


def skipped(sentence: str, hint: str | None = None) -> CheckOutcome:
    """Return an outcome that nothing can be said, and why."""
    return CheckOutcome(sentence, "skipped", hint)


class PromiseBroken(Exception):
    """A check failed. For code deep inside one; the runner makes an outcome of it.

    Args:
        expected: what the server should have done.
        happened: what it did.
    """

    def __init__(self, expected: str, happened: str) -> None:
        super().__init__(f"expected {expected}; {happened}")
        self.outcome = CheckOutcome(happened, "failed", expected=expected)


class NotJudged(Exception):
    """A check can say nothing here; the text says why. Not a failure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was checked, and the outcome."""

    name: str
    """What was checked, e.g. `manifest`. One check may find several problems, each a finding of this name."""

    result: Result
    sentence: str
    level: Level | None = None
    """Of `openenv validate`."""

    hint: str | None = None
    file: str | None = None
    """Where the problem is, relative to the environment's folder."""

    line: int | None = None
    column: int | None = None
    details: tuple[str, ...] = ()
    tries: str | None = None
    """Of `openenv check`: what was tried."""

    expected: str | None = None
    """Of a failure of `openenv check`: what the server should have done."""

    why: str | None = None
    """Of a failure of `openenv check`: what it costs those who train on this server."""

    duration_s: float | None = None

    @property
    def where(self) -> str | None:
        """`file:line:column`, as far as it is known."""
        if self.file is None:
            return None
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @property
    def verdict(self) -> Verdict:
        """The result in the words of `openenv check`."""
        return VERDICTS[self.result]

    def as_json(self) -> dict[str, Any]:
        """Return the keys of `openenv validate --json`."""
        return {
            "name": self.name,
            "level": self.level,
            "result": self.result,
            "sentence": self.sentence,
            "hint": self.hint,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "details": list(self.details),
            "duration_s": None if self.duration_s is None else round(self.duration_s, 3),
        }

    def as_check_json(self) -> dict[str, Any]:
        """Return the keys of `openenv check --json`."""
        return {
            "id": self.name,
            "tries": self.tries,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "expected": self.expected,
            "why": self.why,
            "duration_s": round(self.duration_s or 0.0, 3),
        }


class FileFindings:
    """Collects the findings of one check about one file, each with its line.

    Args:
        name: of the check.
        file: that it is about, relative to the environment's folder.
    """

    def __init__(self, name: str, file: str | None = None) -> None:
        self._name, self._file = name, file
        self.findings: list[Finding] = []

    def failed(self, sentence: str, at: Position = NOWHERE, hint: str | None = None, file: str | None = None) -> None:
        """Add a problem that keeps the environment from working."""
        self._add("failed", sentence, at, hint, file)

    def warned(self, sentence: str, at: Position = NOWHERE, hint: str | None = None, file: str | None = None) -> None:
        """Add something that works and should still be looked at."""
        self._add("warned", sentence, at, hint, file)

    def skipped(self, sentence: str, hint: str | None = None) -> list[Finding]:
        """Add why nothing was checked, and return the findings."""
        self._add("skipped", sentence, NOWHERE, hint, None)
        return self.findings

    def done(self, sentence: str) -> list[Finding]:
        """Return the findings; one that says `sentence` where there are none."""
        if not self.findings:
            self._add("ok", sentence, NOWHERE, None, None)
        return self.findings

    def _add(self, result: Result, sentence: str, at: Position, hint: str | None, file: str | None) -> None:
        finding = Finding(
            name=self._name,
            level="static",
            result=result,
            sentence=sentence,
            hint=hint,
            file=file or self._file,
            line=at[0],
            column=at[1],
        )
        self.findings.append(finding)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """One way to run the environment, and whether it works."""

    name: Literal["local", "uv", "docker", "space"]
    works: bool
    tried: bool
    """It was run; otherwise the environment's files were read."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long calls took, in milliseconds. Information, not a verdict."""

    calls: int
    median_ms: float
    p95_ms: float
    slowest_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> Latency | None:
        """Return the latency of durations given in seconds; None when there are none."""
        if not seconds:
            return None
        ordered = [1000 * each for each in sorted(seconds)]
        last = len(ordered) - 1
        return cls(
            calls=len(ordered),
            median_ms=ordered[last // 2],
            p95_ms=ordered[round(last * 0.95)],
            slowest_ms=ordered[last],
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields for the JSON report."""
        return {
            "calls": self.calls,
            "median_ms": round(self.median_ms, 3),
            "p95_ms": round(self.p95_ms, 3),
            "slowest_ms": round(self.slowest_ms, 3),
        }


@dataclass(kw_only=True)
class Report:
    """What one run found. It is filled during the run, so that an interrupted one has what was found so far."""

    target: str
    findings: list[Finding] = field(default_factory=list)
    complete: bool = False
    """Every check was made or skipped; False when the run was interrupted."""

    duration_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing failed, and nothing was left out."""
        return self.complete and not self.count("failed")

    def count(self, *results: Result) -> int:
        """Return how many findings have one of these results."""
        return sum(finding.result in results for finding in self.findings)

    def _as_json(self, about: dict[str, Any], checks: list[dict[str, Any]], after: dict[str, Any]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "runtime": __version__,
            "target": self.target,
            **about,
            "checks": checks,
            **after,
            "duration_s": round(self.duration_s, 3),
        }


@dataclass(kw_only=True)
class ValidationReport(Report):
    """The report of `openenv validate`."""

    kind: Literal["folder", "server"]
    level: Level
    modes: list[Mode] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON report."""
        about = {
            "kind": self.kind,
            "level": self.level,
            "ok": self.ok,
            "counts": {result: self.count(result) for result in RESULTS},
        }
        modes = [{"name": m.name, "works": m.works, "tried": m.tried, "why": m.why} for m in self.modes]
        return self._as_json(about, [finding.as_json() for finding in self.findings], {"modes": modes})


@dataclass(kw_only=True)
class ServerReport(Report):
    """The report of `openenv check`."""

    chaos: bool
    wires: list[str] = field(default_factory=list)
    """`json`, `native`: what the server speaks."""

    features: list[str] = field(default_factory=list)
    """Those that the server's hello announces."""

    max_sessions: int | None = None
    """What the server says it holds, else what it was seen to hold."""

    latency: Latency | None = None
    """Of steps with nothing else going on."""

    neighbour: Latency | None = None
    """Of the calls of the session that was played during the chaos."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON report."""
        about = {
            "chaos": self.chaos,
            "ok": self.ok,
            "complete": self.complete,
            "server": {"wires": self.wires, "features": self.features, "max_sessions": self.max_sessions},
            "counts": {
                "held": self.count("ok", "warned"),
                "broke": self.count("failed"),
                "not judged": self.count("skipped"),
            },
        }
        figures = {
            "latency": None if self.latency is None else self.latency.as_json(),
            "neighbour": None if self.neighbour is None else self.neighbour.as_json(),
        }
        return self._as_json(about, [finding.as_check_json() for finding in self.findings], figures)
