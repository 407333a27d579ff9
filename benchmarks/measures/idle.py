"""What one idle session of an async environment costs the server in resident memory, up to 4,096 of them."""

from __future__ import annotations

import tracemalloc

from benchmarks.driving import Driver
from benchmarks.measures.filling import filling
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row, alternate
from benchmarks.servers import Server, Side

WARM = 64
"""Sessions opened and stepped before the first reading: what the server allocates once is not a session's."""

ROUNDS = 2
"""Readings vary little, and each needs a fresh server."""


def totals(plan: Plan) -> tuple[int, int]:
    """Up to how many sessions, ours and the peer's. One native connection holds 4,096."""
    return (1024, 256) if plan.quick else (4096, 512)


def rows(plan: Plan) -> list[Row]:
    """The server's growth has the goal; the client's is for information."""
    ours, peer = totals(plan)
    return [
        Row(
            "idle",
            f"idle session, server memory ({ours:,}; peer {peer:,})",
            "KiB",
            goal=Goal("value at most", 16),
        ),
        Row("idle", "idle session, client memory", "KiB"),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Open, read, open many more, read again."""
    server_row, client_row = rows
    up_to = dict(zip(("ours", "peer"), totals(plan), strict=True))
    with filling(plan, server_row, client_row):
        played = alternate(
            {
                "ours": lambda: _growth(plan, "ours", up_to["ours"]),
                "peer": lambda: _growth(plan, "peer", up_to["peer"]),
            },
            1 if plan.quick else min(ROUNDS, plan.rounds),
        )
        server_row.ours, server_row.peer = ([server for server, _ in played[side]] for side in up_to)
        client_row.ours, client_row.peer = ([client for _, client in played[side]] for side in up_to)
        server_row.note = (
            f"growth of the process's resident memory from {WARM} sessions on, connected and reset; "
            f"the environment's own {environment_bytes() / 1024:.2f} KiB are included"
        )


def _growth(plan: Plan, side: Side, total: int) -> tuple[float, float]:
    with (
        Server(plan, side, "async-echo") as server,
        Driver(plan, side, server, url=server.url, sessions=WARM) as driver,
    ):
        held_by_client = driver.run(0.5).client_resident_bytes
        held = server.resident_bytes()
        client_growth = driver.open(total) - held_by_client
        growth = server.resident_bytes() - held
        return growth / (total - WARM) / 1024, client_growth / (total - WARM) / 1024


def environment_bytes(count: int = 1000) -> float:
    """Measure what one environment of ours holds after its reset, in this process."""
    from benchmarks.environments.ours.echo import AsyncEcho

    def reset(environment: AsyncEcho) -> None:
        # It never waits for anything, so one turn ends it: no event loop needed.
        coroutine = environment.reset()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("the echo's reset waited for something")

    reset(AsyncEcho())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    environments = [AsyncEcho() for _ in range(count)]
    for environment in environments:
        reset(environment)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return held / count
