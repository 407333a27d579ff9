"""The harness's end of a driver: start it against a server, order a round, and set its answer beside the server's CPU.

The other end is `drivers`; `rounds` alternates what is made here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.plan import ROOT, Plan
from benchmarks.processes import Child, busy_s
from benchmarks.servers import Side

Kind = Literal["echo", "bytes", "array", "cartpole"]

READY_S = 60.0
"""Seconds a driver has to import its client and open its sessions."""

SLACK_S = 90.0
"""Seconds a round may take beyond its length: its last step may be a very large one."""


@dataclass(frozen=True)
class Sample:
    """One round of one side."""

    steps: int
    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    latency_p50_s: float
    latency_p99_s: float
    client_resident_bytes: int
    others_cores: float
    """Cores that everything else on the machine used meanwhile."""

    @property
    def rate(self) -> float:
        """Give the steps per second."""
        return self.steps / self.wall_s

    @property
    def server_us(self) -> float:
        """Give the server's processor time per step, in microseconds."""
        return 1e6 * self.server_cpu_s / self.steps

    @property
    def client_us(self) -> float:
        """Give the client's processor time per step, in microseconds."""
        return 1e6 * self.client_cpu_s / self.steps


class Driver(Child):
    """One driver process with its sessions open."""

    def __init__(
        self,
        plan: Plan,
        side: Side,
        server: Child | None,
        *,
        url: str = "",
        kind: Kind = "echo",
        sessions: int = 1,
        blocking: bool = False,
        size: int = 0,
        loop: str = "uvloop",
        link: str = "",
        module: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it and wait until its sessions are open."""
        options = {
            "url": url,
            "kind": kind,
            "sessions": sessions,
            "blocking": blocking,
            "size": size,
            "loop": loop,
            "link": link,
        }
        text = json.dumps(options)
        if side == "ours":
            command = [sys.executable, "-m", module or "benchmarks.drivers.ours", text]
            super().__init__(command, cwd=ROOT, env=env)
        else:
            child = Path(__file__).resolve().parent / "child.py"
            command = [str(plan.peer), "-P", str(child), module or "benchmarks.drivers.theirs", text]
            super().__init__(command, cwd=child.parent, env=env)
        self.name = f"{side} driver ({kind}, {sessions} sessions)"
        self._server = server
        try:
            self.facts = self._answer(READY_S)
        except BaseException:
            self.stop()
            raise

    def run(self, seconds: float) -> Sample:
        """Play one round."""
        # The interval that the server's time is taken over begins with the order and ends with the answer.
        began, machine = time.monotonic(), busy_s()
        before = self._server.cpu_s() if self._server else 0.0
        self.write_line(json.dumps({"do": "run", "seconds": seconds}))
        answer = self._answer(seconds + SLACK_S)
        after = self._server.cpu_s() if self._server else 0.0
        others = busy_s() - machine - (after - before) - answer["cpu_s"]
        return Sample(
            steps=answer["steps"],
            wall_s=answer["wall_s"],
            client_cpu_s=answer["cpu_s"],
            server_cpu_s=after - before,
            latency_p50_s=answer["latency_p50_s"],
            latency_p99_s=answer["latency_p99_s"],
            client_resident_bytes=answer["resident_bytes"],
            others_cores=max(0.0, others / (time.monotonic() - began)),
        )

    def open(self, sessions: int) -> int:
        """Open more sessions, up to this total; give the client's resident memory."""
        self.write_line(json.dumps({"do": "open", "sessions": sessions}))
        return int(self._answer(READY_S)["resident_bytes"])

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.read_line(timeout_s))
        if "error" in answer:
            raise self.failure(f"failed: {answer['error']}")
        return answer
