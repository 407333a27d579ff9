"""What it costs to count: throughput and processor time with metrics on, beside the same server with metrics off."""

from __future__ import annotations

from benchmarks.driving import Driver
from benchmarks.measures.filling import fill, filling, play
from benchmarks.plan import Plan
from benchmarks.rounds import Goal, Row
from benchmarks.servers import Server

SESSIONS = 64
OFF = {"OPENENV_METRICS": "0"}
NOTE = "`peer` is our own server with metrics off"


def rows(plan: Plan) -> list[Row]:
    """The quickest steps there are, where a cost per step shows most."""
    return [
        Row(
            "metrics",
            f"{SESSIONS} sessions, async env: metrics on, off",
            "steps/s",
            goal=Goal("ratio at least", 0.98),
            note=NOTE,
        ),
        Row(
            "metrics",
            f"{SESSIONS} sessions, async env: CPU per step, both ends",
            "us",
            note=f"{NOTE}; hardly moved by what else the machine does",
        ),
    ]


def take(plan: Plan, rows: list[Row]) -> None:
    """Both lines out of the same rounds."""
    rate, cpu = rows
    with (
        filling(plan, rate, cpu),
        Server(plan, "ours", "async-echo") as counting,
        Server(plan, "ours", "async-echo", OFF) as silent,
        Driver(plan, "ours", counting, url=counting.url, sessions=SESSIONS) as on,
        Driver(plan, "ours", silent, url=silent.url, sessions=SESSIONS) as off,
    ):
        # Either goes first once: what is looked for is smaller than what it makes of a difference.
        turns = [play(plan, {"on": on, "off": off}), play(plan, {"off": off, "on": on})]
        counted, silenced = ([sample for played in turns for sample in played[name]] for name in ("on", "off"))
        fill(rate, counted, silenced, lambda sample: sample.rate)
        cpu.ours = [sample.server_us + sample.client_us for sample in counted]
        cpu.peer = [sample.server_us + sample.client_us for sample in silenced]
