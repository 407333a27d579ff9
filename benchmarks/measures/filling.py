"""How rounds become lines: shared by the groups that drive sessions."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.driving import Driver, Sample
from benchmarks.plan import Plan
from benchmarks.report import line
from benchmarks.rounds import QUIET, Row, alternate_quietly

WARM_UP_S = 0.5
"""Played by each side before the first round, and thrown away."""


@contextlib.contextmanager
def filling(plan: Plan, *rows: Row) -> Iterator[None]:
    """Report these lines when they are filled; a failure stays theirs, and the other lines go on."""
    try:
        yield
    except Exception as exc:
        for row in rows:
            row.error = f"{type(exc).__name__}: {exc}"
            plan.say(f"{row.name}: FAILED: {row.error.splitlines()[0]}")
    else:
        for row in rows:
            plan.say("  ".join(cell for cell in line(row) if cell))


def play(plan: Plan, drivers: Mapping[str, Driver], seconds: float | None = None) -> dict[str, list[Sample]]:
    """Warm every driver up, then alternate between them; turns that other processes disturbed are played again."""
    for driver in drivers.values():
        driver.run(WARM_UP_S)
    length = seconds or plan.seconds
    sides = {name: partial(driver.run, length) for name, driver in drivers.items()}
    return alternate_quietly(sides, plan.rounds, lambda sample: sample.others_cores, extra=plan.rounds // 2)


def fill(row: Row, ours: Sequence[Sample], peer: Sequence[Sample], value: Callable[[Sample], float]) -> None:
    """Write rounds into a line: `value` of each, and the processor time per step of both ends."""
    row.ours, row.peer = [value(sample) for sample in ours], [value(sample) for sample in peer]
    for side, samples in (("ours", ours), ("peer", peer)):
        if samples:
            row.extra[f"{side} server"] = statistics.median(sample.server_us for sample in samples)
            row.extra[f"{side} client"] = statistics.median(sample.client_us for sample in samples)
            row.extra[f"{side} latency p50 us"] = statistics.median(1e6 * sample.latency_p50_s for sample in samples)
            row.extra[f"{side} latency p99 us"] = statistics.median(1e6 * sample.latency_p99_s for sample in samples)
    others = [sample.others_cores for sample in (*ours, *peer)]
    row.extra["others cores"] = max(others)
    if max(others) > QUIET:
        noise = f"NOISY: other processes used up to {max(others):.1f} cores in the rounds that count"
        row.note = f"{row.note}; {noise}" if row.note else noise
