"""Table of a server's sessions, with the lines above it, for `top` and `sessions list`."""

from __future__ import annotations

from typing import Any, NamedTuple

MISSING = "-"


class Column(NamedTuple):
    """One column."""

    title: str
    right: bool = False


COLUMNS = (
    Column("SESSION"),
    Column("STATE"),
    Column("STEPS", right=True),
    Column("EPISODES", right=True),
    Column("AGE", right=True),
    Column("STEP ms", right=True),
    Column("MAX ms", right=True),
    Column("DOING"),
    Column("MEMORY", right=True),
    Column("WIRE"),
    Column("CLIENT"),
)


def cells(row: dict[str, Any]) -> list[str]:
    """Return a session's cells, in the order of `COLUMNS`."""
    step = row.get("step_ms") or {}
    return [
        str(row.get("id", MISSING)),
        str(row.get("state", MISSING)),
        f"{row.get('steps', 0):,}",
        f"{row.get('episodes', 0):,}",
        span(row.get("age_s")),
        milliseconds(step.get("mean")),
        milliseconds(step.get("max")),
        _doing(row),
        _memory(row),
        str(row.get("wire") or MISSING),
        str(row.get("client") or MISSING),
    ]


def _doing(row: dict[str, Any]) -> str:
    call = row.get("call")
    if call:
        queued = f" +{row['queued']}" if row.get("queued") else ""
        return f"{call.get('kind')} {span(call.get('for_s'))}{queued}"
    return MISSING if row.get("idle_s") is None else f"idle {span(row['idle_s'])}"


def _memory(row: dict[str, Any]) -> str:
    others = row.get("shares_process_with")
    return size(row.get("memory_bytes")) + (f" /{others + 1}" if others else "")


def summary(said: dict[str, Any], steps_per_s: float | None) -> list[str]:
    """Return the lines above the table."""
    server = said["server"]
    step = server.get("step_ms") or {}
    rate = MISSING if steps_per_s is None else f"{steps_per_s:,.0f}"
    states = ", ".join(f"{number} {state}" for state, number in sorted((server.get("states") or {}).items()))
    latency = f"{milliseconds(step.get('p50'))} / {milliseconds(step.get('p99'))} / {milliseconds(step.get('max'))} ms"
    closing = "  stopping" if server.get("closing") else ""
    return [
        f"{server.get('environment')}  up {span(server.get('uptime_s'))}  pid {server.get('pid')}  "
        f"memory {size(server.get('memory_bytes'))}{closing}",
        f"slots {server.get('active')}/{server.get('max')}  waiting {server.get('waiting')}  steps/s {rate}  "
        f"steps {server.get('steps', 0):,}  errors {server.get('errors', 0):,}  step p50/p99/max {latency}",
        f"sessions {said.get('total', 0)}{f': {states}' if states else ''}",
    ]


def plain_table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table as lines of text."""
    table = [[column.title for column in COLUMNS], *(cells(row) for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(COLUMNS))]
    return [
        "  ".join(
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(line, widths, COLUMNS, strict=True)
        ).rstrip()
        for line in table
    ]


def steps_per_s(before: dict[str, Any] | None, now: dict[str, Any]) -> float | None:
    """Return the steps per second between two answers of one server; None where they cannot be compared."""
    if before is None or before["server"]["id"] != now["server"]["id"]:
        return None
    seconds = now["server"]["at"] - before["server"]["at"]
    return (now["server"]["steps"] - before["server"]["steps"]) / seconds if seconds > 0 else None


def span(seconds: float | None) -> str:
    """Return a length of time in few characters: `0.4s`, `12s`, `3m05s`, `2h14m`, `3d04h`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def milliseconds(value: float | None) -> str:
    """Return a latency with about three digits."""
    if value is None:
        return MISSING
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def size(value: int | None) -> str:
    """Return a number of bytes in few characters."""
    if value is None:
        return MISSING
    return f"{value / 2**20:.0f} MiB" if value < 2**30 else f"{value / 2**30:.1f} GiB"
