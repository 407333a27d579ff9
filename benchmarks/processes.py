"""Child processes that cannot outlive the benchmark: started, watched, and ended by their own process id.

Knows nothing of servers or drivers; `servers` and `driving` are built on it.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.plan import ROOT

STOP_S = 10.0
"""Seconds a child has to stop when asked, before it is killed."""

TAIL = 1500
"""Characters of a failed child's stderr that go into the report."""


class ChildFailed(Exception):
    """A child process ended, hung, or said that it failed."""


def busy_s() -> float:
    """Give the processor time that the whole machine has spent since it started, on any core."""
    system = psutil.cpu_times()
    # `guest` is counted in `user` already.
    idle = sum(getattr(system, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
    return float(sum(system) - idle)


class Child:
    """One child process; its stderr is kept in a file of its own, for the report when it fails."""

    def __init__(self, command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
        """Start it."""
        self.name = Path(command[0]).name + " " + " ".join(command[1:4])
        self._errors = tempfile.TemporaryFile()
        self._unread = b""
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._watch = psutil.Process(self._process.pid)
        # Also when an exception takes a way that no `with` block is on.
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def failure(self, what: str) -> ChildFailed:
        """Make the error that says what happened, with the end of the child's stderr."""
        self._errors.seek(0)
        tail = self._errors.read().decode("utf-8", "replace")[-TAIL:].strip()
        code = self._process.poll()
        ended = "still running" if code is None else f"exit code {code}"
        return ChildFailed(f"{self.name}: {what} ({ended})" + (f"\n{tail}" if tail else ""))

    def write_line(self, line: str) -> None:
        """Write to its stdin."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise self.failure("does not read its orders any more") from exc

    def read_line(self, timeout_s: float) -> str:
        """Read one line of its stdout."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        until = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise self.failure(f"gave no answer for {timeout_s:.0f} s")
            data = os.read(descriptor, 65536)
            if not data:
                self._process.wait(STOP_S)
                raise self.failure("ended without an answer")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def cpu_s(self) -> float:
        """Give the processor time, user and system, of the process and its living children."""
        family = [self._watch, *self._watch.children(recursive=True)]
        total = 0.0
        for member in family:
            times = member.cpu_times()
            total += times.user + times.system
        return total

    def resident_bytes(self) -> int:
        """Give the resident memory of the process and its children."""
        family = [self._watch, *self._watch.children(recursive=True)]
        return sum(int(member.memory_info().rss) for member in family)

    def stop(self) -> None:
        """End it: ask, wait, kill. Safe to repeat."""
        atexit.unregister(self.stop)
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._errors.close()
