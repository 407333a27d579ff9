"""Serves a world under OpenEnv 0.10.0 or under this runtime, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx

WORLDS = Path(__file__).with_name("worlds")
BOUND_S = 60.0

Variables = dict[str, str]


def peer_command(python: str, world: str, port: int) -> list[str]:
    return [python, "-m", "uvicorn", f"{world}:app", "--port", str(port), "--log-level", "warning"]


def our_command(world: str, port: int) -> list[str]:
    return [sys.executable, "-m", "openenv_async.cli", "serve", f"{world}.py", "--port", str(port), "--compat", "force"]


@contextlib.contextmanager
def serving(command: list[str], port: int, variables: Variables | None = None) -> Iterator[str]:
    """Run a server until the block ends; gives its URL.

    Raises:
        AssertionError: it ended, or did not answer in time; the text has what it wrote.
    """
    url = f"http://127.0.0.1:{port}"
    # A file, not a pipe that nobody reads: tracebacks would fill it and stop the server.
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(
            command, cwd=WORLDS, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            _wait(child, url, log)
            yield url
        finally:
            child.terminate()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _written(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def _wait(child: subprocess.Popen[bytes], url: str, log: IO[str]) -> None:
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise AssertionError(f"the server ended: {_written(log)}")
        try:
            httpx.get(f"{url}/health", timeout=2, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        return
    raise AssertionError(f"the server did not answer within {BOUND_S:g} s: {_written(log)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
