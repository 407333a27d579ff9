"""From the command to the first healthy answer, and what the server's process holds then."""

from __future__ import annotations

from benchmarks.measures.filling import filling
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row, alternate
from benchmarks.servers import Server, Side


def rows(plan: Plan) -> list[Row]:
    """Time and memory of the same starts."""
    note = "ours `openenv serve DIR`, peer `uvicorn server.app:app`: the same echo, to the first 200 of /health"
    return [
        Row("startup", "serve to healthy", "ms", goal=Goal("ratio at most", 0.25), note=note),
        Row("startup", "server without sessions: resident memory", "MiB"),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Alternate fresh servers; the first of each does not count."""
    time_row, memory_row = rows
    with filling(plan, time_row, memory_row):
        for side in ("ours", "peer"):
            _start(plan, side)
        played = alternate({"ours": lambda: _start(plan, "ours"), "peer": lambda: _start(plan, "peer")}, plan.rounds)
        time_row.ours, time_row.peer = ([1e3 * seconds for seconds, _ in played[side]] for side in ("ours", "peer"))
        memory_row.ours, memory_row.peer = ([held / 2**20 for _, held in played[side]] for side in ("ours", "peer"))


def _start(plan: Plan, side: Side) -> tuple[float, int]:
    with Server(plan, side, "async-echo") as server:
        return server.started_s, server.resident_bytes()
