"""What the numbers were taken on: processor, system, versions of both sides. No host or user names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.peer import versions
from benchmarks.processes import busy_s


class Bystanders:
    """How much processor time everything else on the machine takes while the benchmark runs.

    A side that needs every core loses more to them than one that does not, so the report must say it.
    """

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        own = os.times()
        return time.monotonic(), busy_s(), own.user + own.system + own.children_user + own.children_system

    def cores(self) -> float:
        """Give the cores they have used since the start. Call it when every child has ended."""
        wall, busy, own = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return max(0.0, (busy - own) / wall) if wall else 0.0


OURS = ("hypercorn", "uvloop", "starlette", "httpx", "httpx-ws", "wsproto", "msgspec", "anyio", "numpy", "gymnasium")


def processor() -> str:
    """Name the processor; Linux says it only in /proc."""
    try:
        for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def base_install(name: str) -> set[str]:
    """The distributions that `pip install` of a package brings beside it, without its extras."""
    seen: set[tuple[str, frozenset[str]]] = set()
    wanted = {(canonicalize_name(name), frozenset[str]())}
    while wanted:
        current, extras = wanted.pop()
        seen.add((current, extras))
        for requirement in map(Requirement, importlib.metadata.requires(current) or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                wanted |= {(canonicalize_name(requirement.name), frozenset(requirement.extras))} - seen
    return {found for found, _ in seen} - {canonicalize_name(name)}


def facts(ours: Path, peer: Path) -> Mapping[str, str]:
    """Describe the machine and both sides."""
    from openenv_async import __version__

    mine, theirs = versions(ours, OURS), versions(peer)
    python = mine.pop("python")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB, "
        f"{platform.system()} {platform.release()}, load {load:.1f} at the start",
        "ours": f"openenv-async {__version__}, Python {python}, " + ", ".join(f"{k} {v}" for k, v in mine.items()),
        "base install": f"{len(base_install('openenv-async'))} distributions beside openenv-async",
        "peer": f"openenv {theirs.pop('openenv')}, Python {theirs.pop('python')}, "
        + ", ".join(f"{k} {v}" for k, v in theirs.items()),
        "event loops": f"ours uvloop on both sides{'' if 'uvloop' in mine else ' (not installed: asyncio)'}; "
        f"peer {'uvloop' if 'uvloop' in theirs else 'asyncio, as it installs no uvloop'}",
    }
