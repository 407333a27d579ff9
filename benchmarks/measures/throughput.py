"""Many sessions from one client process: steps per second, with an async and with a sync environment."""

from __future__ import annotations

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server

POINTS = (
    ("async-echo", 64, Goal("ratio at least", 10)),
    ("async-echo", 512, None),
    ("sync-echo", 64, Goal("ratio at least", 5)),
    ("sync-echo", 512, None),
)
# The same with a process for each session: `measures.processes`.

PLAIN = "64 sessions, async env, ours on asyncio too"


def rows(plan: Plan) -> list[Row]:
    """Each environment with 64 and with 512 sessions, and 64 without uvloop. Quick: no 512."""
    kinds = {"async-echo": "async env", "sync-echo": "sync env, a thread each"}
    made = [
        Row("throughput", f"{count} sessions, {kinds[env]}", "steps/s", goal=goal) for env, count, goal in points(plan)
    ]
    made.append(Row("throughput", PLAIN, "steps/s", note="ours without uvloop on either side, as the peer is"))
    return made


def points(plan: Plan) -> list[tuple[str, int, Goal | None]]:
    """What has a goal is always among them."""
    return [point for point in POINTS if point[1] == 64 or not plan.quick]


def take(plan: Plan, rows: list[Row]) -> None:
    """One pair of servers per environment."""
    for environment in ("async-echo", "sync-echo"):
        with Server(plan, "ours", environment) as mine, Server(plan, "peer", environment) as theirs:
            for row, (env, count, _) in zip(rows, points(plan), strict=False):
                if env == environment:
                    _compare(plan, row, mine, theirs, count, "uvloop")
            if environment == "async-echo":
                with Server(plan, "ours", environment, {"OPENENV_BENCH_LOOP": "asyncio"}) as plain:
                    _compare(plan, rows[-1], plain, theirs, 64, "asyncio")


def _compare(plan: Plan, row: Row, mine: Server, theirs: Server, count: int, loop: str) -> None:
    with (
        filling(plan, row),
        Driver(plan, "ours", mine, url=mine.url, sessions=count, loop=loop) as ours,
        Driver(plan, "peer", theirs, url=theirs.url, sessions=count) as peer,
    ):
        played = play(plan, {"ours": ours, "peer": peer})
        fill(row, played["ours"], played["peer"], lambda sample: sample.rate)
