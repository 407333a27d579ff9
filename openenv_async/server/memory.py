"""How much memory processes hold, where the system says."""

from __future__ import annotations

import os
from collections.abc import Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_bytes(pids: Iterable[int]) -> dict[int, int]:
    """Give the resident memory of each process that is there. Reads files: not for the event loop."""
    found: dict[int, int] = {}
    for pid in pids:
        size = _resident(pid)
        if size is not None:
            found[pid] = size
    return found


def _resident(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        return None if os.path.isdir("/proc/self") else _asked(pid)
    except (OSError, ValueError, IndexError):
        return None


def _asked(pid: int) -> int | None:
    """Ask psutil, which knows other systems; without it, nobody does."""
    try:
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    except Exception:  # not installed, or the process has gone: then nothing is known of it
        return None
