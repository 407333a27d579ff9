"""What a test shares with environments in other processes: a `Journal` and gates kept in files; and when they end."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from support.servers import BOUND_S, Journal

SETTLED_S = 30.0
_POLL_S = 0.002


class FileGate(threading.Event):
    """An event that every process sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def set(self) -> None:
        self._path.touch()

    def is_set(self) -> bool:
        return self._path.exists()

    def wait(self, timeout: float | None = None) -> bool:
        return _until(self._path.exists, BOUND_S if timeout is None else timeout)


class SharedJournal(Journal):
    """One line of a file for each entry: appends of different processes do not mix."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="openenv-journal-"))
        self._lines = os.open(self.folder / "journal", os.O_RDWR | os.O_APPEND | os.O_CREAT)
        owner = os.getpid()

        def forget(folder: str, descriptor: int) -> None:
            if os.getpid() == owner:
                os.close(descriptor)
                shutil.rmtree(folder, ignore_errors=True)

        weakref.finalize(self, forget, str(self.folder), self._lines)

    def note(self, what: str) -> None:
        os.write(self._lines, f"{what}\n".encode())

    @property
    def entries(self) -> list[str]:
        size = os.fstat(self._lines).st_size
        return os.pread(self._lines, size, 0).decode().splitlines()

    def count(self, what: str) -> int:
        return Counter(self.entries)[what]

    def _wait(self, what: str, times: int) -> bool:
        return _until(lambda: self.count(what) >= times, BOUND_S)

    def gate(self, name: str) -> threading.Event:
        return FileGate(self.folder / f"gate {name}")


async def until(true: Callable[[], bool], what: str, bound_s: float = SETTLED_S) -> None:
    """Poll, but not for ever."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < bound_s, what
        await asyncio.sleep(0.005)


async def gone(pids: Sequence[int], bound_s: float = SETTLED_S) -> None:
    await until(lambda: not any(psutil.pid_exists(pid) for pid in pids), f"some of {pids} live", bound_s)


def _until(true: Callable[[], bool], bound_s: float) -> bool:
    until = time.monotonic() + bound_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True
