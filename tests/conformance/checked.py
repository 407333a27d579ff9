"""Servers to check, each in a process of its own, and short cuts to what is found."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from openenv_async.conformance.chaos.run import CheckOptions, check_server
from openenv_async.conformance.findings import Finding, ServerReport

HERE = Path(__file__).parent
START_S = 90.0
STOP_S = 15.0


@contextlib.contextmanager
def process(command: Sequence[str]) -> Iterator[str]:
    """Run a server that prints its URL as its first line; give the URL."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = pumping(child.stdout, lines)
    try:
        yield lines.get(timeout=START_S).strip()
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(STOP_S)
        reader.join(STOP_S)
        child.stdout.close()


def pumping(out: IO[str], lines: queue.SimpleQueue[str]) -> threading.Thread:
    """Read lines in a thread until there are no more."""

    def pump() -> None:
        for line in out:
            lines.put(line)

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()
    return reader


def bad_server(sin: str) -> contextlib.AbstractContextManager[str]:
    return process([sys.executable, str(HERE / "bad_server.py"), sin])


def bad_resume(sin: str) -> contextlib.AbstractContextManager[str]:
    return process([sys.executable, str(HERE / "bad_resume.py"), sin])


def own_server(world: str, *options: str) -> contextlib.AbstractContextManager[str]:
    return process([sys.executable, str(HERE / "own_server.py"), world, *options])


async def checked(url: str, *, chaos: bool = True, timeout_s: float = 180.0, max_sessions: int = 16) -> ServerReport:
    return await check_server(url, CheckOptions(chaos=chaos, timeout_s=timeout_s, max_sessions=max_sessions))


def broke(report: ServerReport) -> list[str]:
    return [finding.name for finding in report.findings if finding.verdict == "broke"]


def of(report: ServerReport, name: str) -> Finding:
    found = [finding for finding in report.findings if finding.name == name]
    assert len(found) == 1, f"{len(found)} findings of {name}"
    return found[0]
