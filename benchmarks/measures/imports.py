"""What importing the client costs: seconds and resident memory, in fresh interpreters."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.measures.filling import filling
from benchmarks.plan import ROOT, Plan
from benchmarks.processes import ChildFailed
from benchmarks.rounds import Goal, Row, alternate

OURS = "import openenv_async; openenv_async.AsyncEnv"
PEER = "from openenv.core import EnvClient"
SCRIPT = Path(__file__).resolve().parent.parent / "drivers" / "importing.py"
IMPORT_S = 120.0
MIB = 2**20


def rows(plan: Plan) -> list[Row]:
    """Time and memory of the same imports."""
    note = f"ours `{OURS}`, peer `{PEER}`; compiled, files in the page cache"
    return [
        Row("imports", "import the client: time", "ms", goal=Goal("ratio at most", 0.1), note=note),
        Row("imports", "import the client: resident memory", "MiB", goal=Goal("ratio at most", 1 / 3)),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Alternate fresh interpreters; the first of each compiles what was not compiled and does not count."""
    time_row, memory_row = rows
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "ours": partial(_cost, sys.executable, OURS, {"PYTHONPATH": str(ROOT)}),
        "peer": partial(_cost, str(plan.peer), PEER, {}),
    }
    with filling(plan, time_row, memory_row):
        for cost in sides.values():
            cost()
        played = alternate(sides, plan.rounds)
        mine, theirs = played["ours"], played["peer"]
        time_row.ours, time_row.peer = [1e3 * c["seconds"] for c in mine], [1e3 * c["seconds"] for c in theirs]
        memory_row.ours = [c["resident_bytes"] / MIB for c in mine]
        memory_row.peer = [c["resident_bytes"] / MIB for c in theirs]
        bare = statistics.median(c["bare_bytes"] / MIB for c in mine)
        memory_row.note = f"of the whole process; a bare interpreter has {bare:.0f} MiB of it"
        time_row.extra = {"ours modules": mine[0]["modules"], "peer modules": theirs[0]["modules"]}


def _cost(python: str, statement: str, path: Mapping[str, str]) -> dict[str, float]:
    # By path and with -P: neither the working directory nor the script's own is importable.
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-P", str(SCRIPT), statement]
    done = subprocess.run(
        command, env={**others, **path}, capture_output=True, text=True, timeout=IMPORT_S, check=False
    )
    if done.returncode:
        raise ChildFailed(f"`{statement}` failed with exit code {done.returncode}\n{done.stderr[-2000:]}")
    cost: dict[str, float] = json.loads(done.stdout)
    return cost
