"""The report: a table for the terminal and the same as JSON. `plot` draws it.

Pure apart from writing the files: what machine this is comes from `machine`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rounds import Goal, Row

HEADINGS = ("measure", "ours", "peer", "ratio", "goal", "reached")
CPU_HEADINGS = ("CPU per step, microseconds", "server: ours", "peer", "client: ours", "peer", "ours / peer, both ends")


def figure(value: float) -> str:
    """Write a number with three significant digits, thousands separated."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 or size == 0 else f"{value:.3g}"


def goal_text(goal: Goal | None, unit: str) -> str:
    """Write a goal as the table shows it."""
    if goal is None:
        return ""
    sign = ">=" if goal.target == "ratio at least" else "<="
    return f"{sign} {goal.limit:.3g} {unit}" if goal.target == "value at most" else f"{sign} {goal.limit:.3g}x"


def line(row: Row) -> tuple[str, ...]:
    """Write one measure as cells."""
    if row.error is not None:
        return (row.name, "FAILED", "", "", goal_text(row.goal, row.unit), "no" if row.goal else "")
    ours = f"{figure(statistics.median(row.ours))} {row.unit}" if row.ours else "-"
    peer = f"{figure(statistics.median(row.peer))} {row.unit}" if row.peer else "-"
    ratio = f"{figure(row.ratio)}x" if row.ratio is not None else "-"
    reached = {True: "yes", False: "NO", None: ""}[row.reached]
    return (row.name, ours, peer, ratio, goal_text(row.goal, row.unit), reached)


def cpu_line(row: Row) -> tuple[str, ...] | None:
    """Write one measure's processor time per step, if it has any."""
    names = ("ours server", "peer server", "ours client", "peer client")
    if not any(name in row.extra for name in names):
        return None
    cells = (figure(row.extra[name]) if name in row.extra else "-" for name in names)
    # Unlike the rates above, hardly moved by what else the machine does.
    ours, peer = (sum(row.extra.get(f"{side} {end}", 0.0) for end in ("server", "client")) for side in ("ours", "peer"))
    return (row.name, *cells, f"{figure(ours / peer)}x" if ours and peer else "-")


def columns(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out cells in columns, the first to the left and the others to the right."""
    table = [headings, *lines]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(headings))]

    def lay(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "  ".join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]).rstrip()

    return "\n".join([lay(headings), "  ".join("-" * width for width in widths), *(lay(cells) for cells in lines)])


def table(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """Write the whole report for a terminal."""
    parts = ["\n".join(f"{name}: {value}" for name, value in facts.items())]
    parts.append(columns(HEADINGS, [line(row) for row in rows]))
    cpu = [cells for cells in map(cpu_line, rows) if cells is not None]
    if cpu:
        parts.append(columns(CPU_HEADINGS, cpu))
    notes = [f"{row.name}: {row.note}" for row in rows if row.note]
    if notes:
        parts.append("Notes\n" + "\n".join(notes))
    parts += failures(rows)
    parts.append(verdict(rows))
    return "\n\n".join(parts)


def failures(rows: Sequence[Row]) -> list[str]:
    """Write each error once, under the names of the measures that it ended."""
    named: dict[str, list[str]] = {}
    for row in rows:
        if row.error is not None:
            named.setdefault(row.error, []).append(f"FAILED {row.name}")
    return ["\n".join([*names, error]) for error, names in named.items()]


def missed(rows: Sequence[Row]) -> list[Row]:
    """Give the measures whose goal is not reached, and those that failed."""
    return [row for row in rows if row.reached is False or row.error is not None]


def verdict(rows: Sequence[Row]) -> str:
    """Say in one line how many goals are reached."""
    goals = [row for row in rows if row.goal is not None]
    reached = sum(row.reached is True for row in goals)
    failed = sum(row.error is not None for row in rows)
    text = f"{reached} of {len(goals)} goals reached"
    return text + (f", {failed} measures failed" if failed else "")


def as_json(rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything, every round included, as plain values."""
    return {
        "facts": dict(facts),
        "measures": [
            {
                "group": row.group,
                "name": row.name,
                "unit": row.unit,
                "ours": row.ours,
                "peer": row.peer,
                "ours_median": statistics.median(row.ours) if row.ours else None,
                "peer_median": statistics.median(row.peer) if row.peer else None,
                "ratio": row.ratio,
                "goal": {"target": row.goal.target, "limit": row.goal.limit} if row.goal else None,
                "reached": row.reached,
                "extra": row.extra,
                "note": row.note,
                "error": row.error,
            }
            for row in rows
        ],
    }


def write_json(rows: Sequence[Row], facts: Mapping[str, Any], folder: Path) -> Path:
    """Write `bench.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.json"
    path.write_text(json.dumps(as_json(rows, facts), indent=2) + "\n", encoding="utf-8")
    return path
