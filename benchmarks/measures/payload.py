"""Observations from 1 KiB to 16 MiB, as bytes and as an array: the time of one step."""

from __future__ import annotations

import dataclasses

from benchmarks.driving import Driver, Kind, Sample
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server

KIB, MIB = 1024, 1024 * 1024
KINDS: tuple[Kind, ...] = ("bytes", "array")
NAMES = {KIB: "1 KiB", 64 * KIB: "64 KiB", MIB: "1 MiB", 16 * MIB: "16 MiB"}
CARRIED = {
    "bytes": "random bytes; the peer sends base64 in a str and its client decodes it, since its wire has no bytes",
    "array": "random uint8; the peer sends a list of ints, as its Atari environment does; its client makes the array",
}
ROUND_S = 0.8
LARGE_ROUNDS = 2
"""Rounds of 16 MiB: one step of the peer's takes seconds."""


def sizes(plan: Plan) -> tuple[int, ...]:
    """The goal's size is always among them."""
    return (MIB,) if plan.quick else tuple(NAMES)


def rows(plan: Plan) -> list[Row]:
    """Every size of both kinds."""
    return [
        Row(
            "payload",
            f"{NAMES[size]} {kind} observation",
            "ms",
            goal=Goal("ratio at most", 1 / 3) if size == MIB else None,
            note=CARRIED[kind] if size == MIB else "",
        )
        for kind in KINDS
        for size in sizes(plan)
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """One pair of servers per kind."""
    left = iter(rows)
    for kind in KINDS:
        with Server(plan, "ours", kind) as mine, Server(plan, "peer", kind) as theirs:
            for size in sizes(plan):
                _compare(plan, next(left), mine, theirs, kind, size)


def _compare(plan: Plan, row: Row, mine: Server, theirs: Server, kind: Kind, size: int) -> None:
    if size == 16 * MIB:
        plan = dataclasses.replace(plan, rounds=min(plan.rounds, LARGE_ROUNDS))
    with (
        filling(plan, row),
        Driver(plan, "ours", mine, url=mine.url, kind=kind, size=size) as ours,
        Driver(plan, "peer", theirs, url=theirs.url, kind=kind, size=size) as peer,
    ):
        played = play(plan, {"ours": ours, "peer": peer}, min(ROUND_S, plan.seconds))
        fill(row, played["ours"], played["peer"], _milliseconds)


def _milliseconds(sample: Sample) -> float:
    # The mean, not the median: a round of the largest holds one or two steps.
    return 1e3 * sample.wall_s / sample.steps
