"""CartPole: Gymnasium's AsyncVectorEnv, a local process per environment, beside our sessions over loopback."""

from __future__ import annotations

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Row
from benchmarks.servers import Server

VECTOR = 16
COUNTS = (16, 64)


def counts(plan: Plan) -> tuple[int, ...]:
    """How many sessions of ours."""
    return COUNTS[:1] if plan.quick else COUNTS


def rows(plan: Plan) -> list[Row]:
    """For information: one crosses a network, the other does not."""
    note = f"here `peer` is Gymnasium's AsyncVectorEnv with {VECTOR} processes, in lockstep and without a network"
    return [
        Row("vector", f"CartPole, {count} sessions vs AsyncVectorEnv({VECTOR})", "steps/s", note="" if i else note)
        for i, count in enumerate(counts(plan))
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Ours in threads, the default of such an environment."""
    with (
        Server(plan, "ours", "cartpole") as server,
        Driver(plan, "ours", None, sessions=VECTOR, module="benchmarks.drivers.vector") as vector,
    ):
        for row, count in zip(rows, counts(plan), strict=True):
            with (
                filling(plan, row),
                Driver(plan, "ours", server, url=server.url, kind="cartpole", sessions=count) as ours,
            ):
                played = play(plan, {"ours": ours, "vector": vector})
                fill(row, played["ours"], played["vector"], lambda sample: sample.rate)
