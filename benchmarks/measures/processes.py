"""A process for each session: what isolation costs, what it gains on several cores, and how soon a session begins."""

from __future__ import annotations

import asyncio
import time

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server

SESSIONS = 64
BUSY_SESSIONS = 8
SEATS = 8
PROCESS = {"OPENENV_EXECUTION": "process"}
PACKED = {**PROCESS, "OPENENV_SESSIONS_PER_PROCESS": str(SEATS)}
STARTS = 20
PAUSE_S = 0.1
"""Between two sessions that begin: long enough for a new spare process."""


def rows(plan: Plan) -> list[Row]:
    """Throughput alone and packed, two cores against one, and the start of a session."""
    return [
        Row(
            "processes",
            f"{SESSIONS} sessions, sync env, a process each",
            "steps/s",
            goal=Goal("ratio at least", 5),
        ),
        Row("processes", f"{SESSIONS} sessions, sync env, {SEATS} in a process", "steps/s"),
        Row(
            "processes",
            f"{BUSY_SESSIONS} sessions, 5 ms of Python per step",
            "steps/s",
            goal=Goal("ratio at least", 1.8),
            note="`peer` is our own server with threads, which share one core; two cores are all that there is here",
        ),
        Row(
            "processes",
            "a session in a warm process: connect and reset",
            "ms",
            goal=Goal("value at most", 20),
            note="one at a time, over an open connection",
        ),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Each line against what it is to be compared with."""
    alone, packed, busy, start = rows
    with (
        Server(plan, "ours", "sync-echo", PROCESS) as mine,
        Server(plan, "ours", "sync-echo", PACKED) as shared,
        Server(plan, "peer", "sync-echo") as theirs,
    ):
        for row, server in ((alone, mine), (packed, shared)):
            with (
                filling(plan, row),
                Driver(plan, "ours", server, url=server.url, sessions=SESSIONS) as ours,
                Driver(plan, "peer", theirs, url=theirs.url, sessions=SESSIONS) as peer,
            ):
                played = play(plan, {"ours": ours, "peer": peer})
                fill(row, played["ours"], played["peer"], lambda sample: sample.rate)
        with filling(plan, start):
            start.ours = asyncio.run(_starts(mine.url))
    with (
        filling(plan, busy),
        Server(plan, "ours", "busy-echo", PROCESS) as mine,
        Server(plan, "ours", "busy-echo") as threads,
        Driver(plan, "ours", mine, url=mine.url, sessions=BUSY_SESSIONS) as ours,
        Driver(plan, "ours", threads, url=threads.url, sessions=BUSY_SESSIONS) as one_core,
    ):
        played = play(plan, {"ours": ours, "threads": one_core})
        fill(busy, played["ours"], played["threads"], lambda sample: sample.rate)


async def _starts(url: str) -> list[float]:
    from openenv_async import AsyncEnv

    took = []
    # Keeps the connection open, which the others share.
    async with AsyncEnv(base_url=url):
        for _ in range(STARTS):
            await asyncio.sleep(PAUSE_S)
            began = time.perf_counter()
            async with AsyncEnv(base_url=url) as client:
                await client.reset()
                took.append(1e3 * (time.perf_counter() - began))
    return took
