"""The load itself: many sessions stepped at once from one process, or one session stepped by blocking calls.

Knows no client: a driver hands it functions. Standard library only, since both sides' interpreters run it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.drivers.speech import hear, tell

BATCH = 64
"""Sessions opened at once: enough to be quick, few enough for a server's accept queue."""


@dataclass
class Session:
    """One session as functions. `check(result, n)` raises unless `result` is what the n-th step returns."""

    step: Callable[[], Any]
    check: Callable[[Any, int], None]
    close: Callable[[], Any]
    played: int = 0
    times: list[float] = field(default_factory=list)


def resident_bytes() -> int:
    """Give the resident memory of this process."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        # No /proc: the peak, in bytes on macOS, stands in for the present.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def sum_up(sessions: list[Session], started: float, cpu_s: float) -> dict[str, Any]:
    """Make the answer to `run`. A latency is the time between two steps' beginnings: the loop does nothing else."""
    ended = max(session.times[-1] for session in sessions)
    gaps = [after - before for s in sessions for before, after in zip(s.times, s.times[1:], strict=False)]
    cuts = statistics.quantiles(gaps, n=100) if len(gaps) > 1 else gaps * 99
    return {
        "steps": sum(len(session.times) - 1 for session in sessions),
        "wall_s": ended - started,
        "cpu_s": cpu_s,
        "latency_p50_s": cuts[49],
        "latency_p99_s": cuts[98],
        "resident_bytes": resident_bytes(),
    }


async def _play(session: Session, until: float) -> None:
    step, clock = session.step, time.perf_counter
    session.times = times = []
    now = clock()
    result = None
    # At least one step, however long: a 16 MiB observation may take longer than a whole round.
    while True:
        times.append(now)
        result = await step()
        now = clock()
        if now >= until:
            break
    times.append(now)
    session.played += len(times) - 1
    session.check(result, session.played)


async def _open(opener: Callable[[], Awaitable[Session]], sessions: list[Session], total: int) -> None:
    while len(sessions) < total:
        batch = min(BATCH, total - len(sessions))
        sessions.extend(await asyncio.gather(*(opener() for _ in range(batch))))


async def drive(opener: Callable[[], Awaitable[Session]], total: int, **facts: Any) -> None:
    """Open `total` sessions and obey until the end."""
    sessions: list[Session] = []
    await _open(opener, sessions, total)
    tell(ready=True, **facts)
    while True:
        # In a thread, so that the sockets go on answering pings between two rounds.
        order = await asyncio.to_thread(hear)
        if order["do"] == "end":
            break
        if order["do"] == "open":
            await _open(opener, sessions, order["sessions"])
            tell(sessions=len(sessions), resident_bytes=resident_bytes())
            continue
        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(_play(session, started + order["seconds"]) for session in sessions))
        tell(**sum_up(sessions, started, time.process_time() - cpu))
    for first in range(0, len(sessions), BATCH):
        await asyncio.gather(*(session.close() for session in sessions[first : first + BATCH]))


def drive_blocking(session: Session, **facts: Any) -> None:
    """Step one session by blocking calls and obey until the end."""
    tell(ready=True, **facts)
    clock = time.perf_counter
    while (order := hear())["do"] != "end":
        cpu, started = time.process_time(), clock()
        until = started + order["seconds"]
        session.times = times = [started]
        result = None
        while times[-1] < until:
            result = session.step()
            times.append(clock())
        session.played += len(times) - 1
        session.check(result, session.played)
        tell(**sum_up([session], started, time.process_time() - cpu))
    session.close()
