"""What is measured, one file per group, in the order of the report.

Each module has `rows(plan)`, the lines it will fill, and `take(plan, rows)`, which fills them. Lines are made before
anything runs, so that a measure that fails is a line that says so.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from benchmarks.plan import Plan
from benchmarks.rounds import Row

NAMES = (
    "latency",
    "throughput",
    "tls",
    "interop",
    "payload",
    "imports",
    "startup",
    "idle",
    "vector",
    "processes",
    "metrics",
)


class Measure(Protocol):
    """What a module here has."""

    def rows(self, plan: Plan) -> list[Row]:
        """Give the empty lines."""
        ...

    def take(self, plan: Plan, rows: list[Row]) -> None:
        """Fill them. A line whose `error` is set, or that stays empty when this raises, is reported as failed."""
        ...


def measure(name: str) -> Measure:
    """Give one by its name; imported here, so that `--only` needs nothing that the others do."""
    return cast(Measure, importlib.import_module(f"benchmarks.measures.{name}"))


def run(plan: Plan, name: str, report: list[Row]) -> None:
    """Take one group and add its lines to the report, failed ones included; when interrupted, those that are full."""
    chosen = measure(name)
    rows = chosen.rows(plan)
    try:
        chosen.take(plan, rows)
    except Exception as exc:
        for row in rows:
            if not row.ours and row.error is None:
                row.error = f"{type(exc).__name__}: {exc}"
        plan.say(f"{name} FAILED: {type(exc).__name__}: {str(exc).partition(chr(10))[0]}")
    finally:
        report += [row for row in rows if row.ours or row.error is not None]
