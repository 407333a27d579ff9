"""What a validation says: single checks, the ways to run the environment, and the report of both.

Owns the vocabulary and its JSON form. Every other module here makes checks; none prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from openenv_async import __version__
from openenv_async.errors import EnvError

Level = Literal["static", "runtime", "full"]
Result = Literal["ok", "warned", "failed", "skipped"]

LEVELS: tuple[Level, ...] = ("static", "runtime", "full")
RESULTS: tuple[Result, ...] = ("ok", "warned", "failed", "skipped")

FORMAT = 1
"""Of the JSON report; grows when a key changes its meaning."""


class NotAnEnvironment(EnvError):
    """There is nothing to validate: no `openenv.yaml` in the folder, or no environment server at the address."""

    code = "NOT_AN_ENVIRONMENT"
    fault = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    """What was looked at, e.g. `manifest`. One look may find several problems, each a check of this name."""

    level: Level
    result: Result
    sentence: str
    hint: str | None = None
    """What to do about it."""

    file: str | None = None
    """Where, seen from the environment's folder."""

    line: int | None = None
    column: int | None = None
    details: tuple[str, ...] = ()
    """Further lines, for those who ask."""

    duration_s: float | None = None

    @property
    def where(self) -> str | None:
        """`file:line:column`, as far as it is known."""
        if self.file is None:
            return None
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def as_json(self) -> dict[str, Any]:
        """Give the fields for the machine-readable report."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """One way to run the environment, and whether it works."""

    name: Literal["local", "uv", "docker", "space"]
    works: bool
    tried: bool
    """It was run; otherwise it was judged by the environment's files."""

    why: str

    def as_json(self) -> dict[str, Any]:
        """Give the fields for the machine-readable report."""
        return {"name": self.name, "works": self.works, "tried": self.tried, "why": self.why}


@dataclass(kw_only=True)
class Report:
    """What one validation found."""

    target: str
    kind: Literal["folder", "server"]
    level: Level
    checks: list[Check] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return not any(check.result == "failed" for check in self.checks)

    def count(self, result: Result) -> int:
        """How many checks ended so."""
        return sum(check.result == result for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Give the machine-readable report."""
        return {
            "format": FORMAT,
            "runtime": __version__,
            "target": self.target,
            "kind": self.kind,
            "level": self.level,
            "ok": self.ok,
            "counts": {result: self.count(result) for result in RESULTS},
            "checks": [check.as_json() for check in self.checks],
            "modes": [mode.as_json() for mode in self.modes],
            "duration_s": round(self.duration_s, 3),
        }
