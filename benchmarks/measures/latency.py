"""One session: how long a step takes, through the async client and through the blocking one."""

from __future__ import annotations

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server


def rows(plan: Plan) -> list[Row]:
    """Both clients, against an asynchronous environment."""
    return [
        Row("latency", "1 session, async client: p50", "us", goal=Goal("ratio at most", 0.8)),
        Row("latency", "1 session, sync client: p50", "us", goal=Goal("ratio at most", 0.9)),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """One pair of servers for both."""
    with Server(plan, "ours", "async-echo") as mine, Server(plan, "peer", "async-echo") as theirs:
        for row, blocking in zip(rows, (False, True), strict=True):
            with (
                filling(plan, row),
                Driver(plan, "ours", mine, url=mine.url, blocking=blocking) as ours,
                Driver(plan, "peer", theirs, url=theirs.url, blocking=blocking) as peer,
            ):
                played = play(plan, {"ours": ours, "peer": peer})
                fill(row, played["ours"], played["peer"], lambda sample: 1e6 * sample.latency_p50_s)
