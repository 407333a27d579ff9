"""Both servers, started as their users start them, on a free port of the loopback interface.

Ours: `openenv serve DIR`. The peer: `uvicorn server.app:app`, which is what its template's Dockerfile runs.
"""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from benchmarks.plan import ROOT, Plan
from benchmarks.processes import Child

Side = Literal["ours", "peer"]

HEALTHY_S = 60.0
"""Seconds a server has to become healthy."""

POLL_S = 0.002
"""Between two questions after its health: the resolution of the measured start."""

ENVIRONMENTS = Path(__file__).resolve().parent / "environments"


def free_port() -> int:
    """Give a port that nothing listens on. The peer cannot say which one it took, so it must be told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(port: int) -> bool:
    """Ask once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def launch(plan: Plan, side: Side, port: int) -> tuple[list[str], Path, dict[str, str]]:
    """Give the command that serves, the folder it runs in, and the variables it needs."""
    where = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    if side == "ours":
        command = [sys.executable, "-m", "openenv_async.cli", "serve", str(ENVIRONMENTS / "ours"), *where]
        return command, ROOT, {"PYTHONPATH": str(ROOT)}
    return [str(plan.peer), "-m", "uvicorn", "server.app:app", *where], ENVIRONMENTS / "theirs", {}


class Server(Child):
    """One server that answers `GET /health`; `started_s` is how long that took from the process's start."""

    def __init__(self, plan: Plan, side: Side, environment: str, env: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it is healthy."""
        port = free_port()
        variables = {"OPENENV_BENCH_ENV": environment, **(env or {})}
        started = time.perf_counter()
        command, cwd, path = launch(plan, side, port)
        super().__init__(command, cwd=cwd, env={**path, **variables})
        self.side = side
        self.url = f"http://127.0.0.1:{port}"
        try:
            self._await_health(port, started + HEALTHY_S)
        except BaseException:
            self.stop()
            raise
        self.started_s = time.perf_counter() - started

    def _await_health(self, port: int, until: float) -> None:
        while not healthy(port):
            if not self.running:
                raise self.failure("ended before it was healthy")
            if time.perf_counter() > until:
                raise self.failure(f"was not healthy after {HEALTHY_S:.0f} s")
            time.sleep(POLL_S)
