"""Everything at once for a long time, and then nothing has grown: `python tests/faults/soak.py --seconds 300`.

Servers of every kind of execution, clients that do what clients do, and a proxy with bad weather
between them. Two quiet moments are compared, one after the warm-up and one at the end: what the
server holds (memory, tasks, threads, descriptors), as the system and the server itself see it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import sys
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import psutil
from server_process import ServerProcess, server_process
from soak_load import Load
from support.fault_plans import KINDS, SEED, Often, healthy, seeded
from support.fault_proxy import Proxy

EXECUTIONS = ("inline", "thread", "process")
WORKERS = 32
APART = 300_000
"""Bytes between two faults of one connection, at most."""

WARM_UP = 0.3
"""The part of the time after which the first of the two looks is taken."""

MOST_GROWTH = 0.10
MOST_GROWTH_MIB = 12.0
"""What the memory may differ by, the larger of the two: allocators keep what they had."""

BUG = "a bug in the runtime"
"""What the server's log says of an exception that should not have been."""

QUIET_S = 15.0
"""Seconds in which the last session must end after the last client has."""


@dataclass(frozen=True)
class Look:
    """What a process holds while nobody plays."""

    memory_mib: float
    tasks: int
    threads: int
    descriptors: int
    processes: int = 0


@dataclass
class Report:
    """How a soak went; `problems` is empty when nothing was found."""

    seed: int
    seconds: float
    looks: dict[str, tuple[Look, Look]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Give it as text."""
        lines = [f"{self.seconds:g} s, {SEED}={self.seed}"]
        lines += [f"done: {_listed(self.done)}", f"faults: {_listed(self.faults)}"]
        for name, (before, after) in self.looks.items():
            pairs = [f"{key} {was:g} -> {asdict(after)[key]:g}" for key, was in asdict(before).items()]
            lines.append(f"{name}: {', '.join(pairs)}")
        return lines + ([f"PROBLEM: {problem}" for problem in self.problems] or ["nothing was lost, nothing has grown"])


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


async def soak(seconds: float, seed: int, executions: tuple[str, ...] = EXECUTIONS) -> Report:
    """Load servers for so long, and report."""
    report = Report(seed, seconds)
    async with contextlib.AsyncExitStack() as stack:
        servers: dict[str, ServerProcess] = {}
        proxies: list[Proxy] = []
        for execution in executions:
            running = server_process(execution=execution, forgets=True, resume_window_s=1.0, http_idle_timeout_s=1.0)
            servers[execution] = await stack.enter_async_context(running)
            proxies.append(stack.enter_context(Proxy(servers[execution].address)))
        load = Load([proxy.url for proxy in proxies], WORKERS, seed)
        looks = []
        for part in (WARM_UP, 1 - WARM_UP):
            for number, proxy in enumerate(proxies):
                proxy.arm(Often(seed + number, *KINDS, apart=APART, most_s=1.0))
            load.start()
            await asyncio.sleep(seconds * part)
            for proxy in proxies:
                proxy.arm(healthy)
            await load.rest()
            looks.append(await _look(servers))
        for name, before in looks[0].items():
            report.looks[name] = before, looks[1][name]
            report.problems += _growth(name, *report.looks[name])
        for name, server in servers.items():
            counts = (await server.look())["counts"]  # none where the environments have processes of their own
            if counts.get("built") != counts.get("closed"):
                report.problems.append(f"{name}: {counts['built']} environments built, {counts['closed']} closed")
            report.problems += [
                f"{name} said: {line.strip()}" for line in server.said if "a bug in the runtime" in line
            ]
        report.done = load.done
        report.faults = sum((proxy.counts for proxy in proxies), start=Counter())
        report.problems += [f"{count} observations were {kind}" for kind, count in load.wrong.items()]
        report.problems += [f"{type(exc).__name__}: {exc}" for exc in load.findings[:5]]
    return report


async def _look(servers: dict[str, ServerProcess]) -> dict[str, Look]:
    """Wait until nobody plays anywhere, and look."""
    gc.collect()  # clients that nobody closed end when they are collected
    looks = dict(zip(servers, await asyncio.gather(*map(_look_into, servers.values())), strict=True))
    me = psutil.Process()
    looks["client"] = Look(me.memory_info().rss / 2**20, len(asyncio.all_tasks()), me.num_threads(), me.num_fds())
    return looks


async def _look_into(server: ServerProcess) -> Look:
    await server.until("sessions", 0, QUIET_S)
    await server.until("connections", 0, QUIET_S)
    least = await server.least("tasks", "threads", "descriptors", "processes", timeout_s=QUIET_S)
    return Look(memory_mib=server.seen.memory_info().rss / 2**20, **least)


def _growth(name: str, before: Look, after: Look) -> list[str]:
    problems = []
    most = max(before.memory_mib * (1 + MOST_GROWTH), before.memory_mib + MOST_GROWTH_MIB)
    if after.memory_mib > most:
        problems.append(f"{name}: memory grew from {before.memory_mib:.1f} to {after.memory_mib:.1f} MiB")
    for what in ("tasks", "threads", "descriptors", "processes"):
        was, now = getattr(before, what), getattr(after, what)
        if now > was:
            problems.append(f"{name}: {what} grew from {was} to {now}")
    return problems


def main() -> int:
    """Run from the command line; the exit code is 1 when there are problems."""
    parser = argparse.ArgumentParser(description="Load servers through a bad network and see whether anything grows.")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long [300]")
    parser.add_argument("--seed", type=int, default=None, help=f"draws the same faults again [{SEED}, or a new one]")
    parser.add_argument("--execution", action="append", choices=EXECUTIONS, help="only this one; repeatable")
    given = parser.parse_args()
    if given.seed is not None:
        os.environ[SEED] = str(given.seed)
    warnings.filterwarnings("ignore", "(?s).*was not closed", ResourceWarning)
    with seeded() as seed:
        report = asyncio.run(soak(given.seconds, seed, tuple(given.execution or EXECUTIONS)))
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
