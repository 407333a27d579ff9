"""Serves an example as its README says: `openenv serve`, a process of its own; every wait has a bound."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
BOUND_S = 60.0


@contextlib.contextmanager
def served(target: str, *options: str, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """Give the address of a server that Ctrl-C ends, cleanly, when the block ends."""
    server = subprocess.Popen(
        [sys.executable, "-m", "openenv_async.cli", "serve", target, "--port", "0", *options],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Bounds every read, because the pipe ends with the process.
    bomb = threading.Timer(BOUND_S, server.kill)
    bomb.start()
    try:
        yield _address(server)
        server.send_signal(signal.SIGINT)
        rest, _ = server.communicate(timeout=BOUND_S)
        assert server.returncode == 0, rest
        assert rest.endswith("Stopped.\n"), rest
    finally:
        bomb.cancel()
        server.kill()
        server.communicate(timeout=BOUND_S)


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    read = []
    for line in server.stdout:
        read.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise AssertionError(f"it ended before it served:\n{''.join(read)}")


def run_python(*arguments: str, cwd: Path, timeout_s: float = BOUND_S) -> subprocess.CompletedProcess[str]:
    """Run Python and wait for its end."""
    outer = ("PYTEST_", "MYPY")  # what this test run was told is not for the one inside
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if not key.startswith(outer)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
