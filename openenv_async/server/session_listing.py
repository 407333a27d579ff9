"""The list of a server's sessions: what each does, how long its steps take, what memory it holds.

Owns the JSON of `GET /sessions`, which `openenv top` reads. Seconds and bytes for all figures but latencies,
which are milliseconds. Thousands of sessions are sorted by what is cheap to look at; only the page that was asked
for is written out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from openenv_async.protocol.session_states import State
from openenv_async.runtime.session import Session
from openenv_async.runtime.session_stats import Tally
from openenv_async.server.server import Server

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


SORTS = ("age", "steps", "latency", "busy", "memory", "id")
"""Each with the largest first, but for the ids."""

MOST_LISTED = 1000

_BY_STEP: dict[bool | None, str] = {True: "inline", False: "thread"}
"""Where environments run that do not say it, by whether `step` is `async def`."""


class Page(NamedTuple):
    """What was asked for."""

    limit: int
    offset: int
    sort: str


async def roll(server: Server, page: Page) -> dict[str, Any]:
    """Write the list."""
    sessions = list(server.registry.sessions.values())
    asked = {session.pid for session in sessions if session.pid is not None} if page.sort == "memory" else set()
    memory = await asyncio.to_thread(resident_bytes, asked) if asked else {}
    sessions.sort(key=_order(page.sort, memory))
    shown = sessions[page.offset : page.offset + page.limit]
    mine = os.getpid()
    pids = {mine, *(session.pid for session in shown if session.pid is not None)} - memory.keys()
    memory |= await asyncio.to_thread(resident_bytes, pids)
    sharing = _sharing(sessions)
    return {
        "server": _about(server, memory.get(mine)),
        "total": len(sessions),
        "offset": page.offset,
        "limit": page.limit,
        "sort": page.sort,
        "sessions": [_row(server, session, memory, sharing) for session in shown],
    }


def _order(sort: str, memory: dict[int, int]) -> Callable[[Session], Any]:
    now = time.perf_counter()
    orders: dict[str, Callable[[Session], Any]] = {
        "age": lambda session: session.created_at,
        "steps": lambda session: -session.steps,
        "latency": lambda session: -_mean(session.tally),
        "busy": lambda session: session.began_at - now if session.working else 0.0,
        "memory": lambda session: -memory.get(session.pid or 0, 0),
        "id": lambda session: session.id,
    }
    return orders[sort]


def _mean(tally: Tally) -> float:
    return sum(tally.latencies_s) / len(tally.latencies_s) if tally.latencies_s else 0.0


def _sharing(sessions: Iterable[Session]) -> dict[int, int]:
    """Count the sessions of each process."""
    found: dict[int, int] = {}
    for session in sessions:
        if session.pid is not None:
            found[session.pid] = found.get(session.pid, 0) + 1
    return found


def _about(server: Server, memory: int | None) -> dict[str, Any]:
    registry, census, now = server.registry, server.census, time.time()
    return {
        "id": server.id,
        "environment": server.blueprint.name,
        "at": now,
        "uptime_s": round(now - census.began_at, 3),
        "active": registry.active,
        "max": registry.max_sessions,
        "waiting": registry.waiting,
        "closing": registry.closing,
        "states": registry.by_state(),
        "steps": census.steps,
        "episodes": census.episodes,
        "errors": census.errors,
        "step_ms": latency_figures(census.latencies_s()),
        "execution": server.blueprint.execution or _BY_STEP.get(server.blueprint.is_async()),
        "pid": os.getpid(),
        "memory_bytes": memory,
    }


def latency_figures(latencies_s: Iterable[float]) -> dict[str, float] | None:
    """Give mean, median, 99th percentile and maximum in milliseconds; None of nothing."""
    ordered = sorted(latencies_s)
    if not ordered:
        return None
    last = len(ordered) - 1
    figures = {
        "mean": sum(ordered) / len(ordered),
        "p50": ordered[last // 2],
        "p99": ordered[round(last * 0.99)],
        "max": ordered[-1],
    }
    return {name: round(value * 1000, 3) for name, value in figures.items()} | {"of": len(ordered)}


def _row(server: Server, session: Session, memory: dict[int, int], sharing: dict[int, int]) -> dict[str, Any]:
    tally, now, working = session.tally, time.perf_counter(), session.working
    began = session.began_at
    idle = None if working else now - (began + tally.last_s if began else tally.since)
    opening = session.state.now is State.OPENING
    pid = session.pid
    return {
        "id": session.id,
        "state": session.state.now.name.lower(),
        "steps": session.steps,
        "episodes": session.episodes,
        "errors": tally.errors,
        "age_s": round(time.time() - session.created_at, 3),
        "idle_s": None if idle is None or opening else round(max(0.0, idle), 3),
        "call": {"kind": session.doing, "for_s": round(now - began, 3)} if working else None,
        "queued": session.queued,
        "step_ms": latency_figures(tally.latencies_s),
        # Whoever the results go to knows these, unless it is a sink of somebody else's.
        "wire": getattr(session.sink, "wire", None),
        "client": getattr(session.sink, "peer", None),
        "execution": session.execution,
        "pid": pid if pid is not None else os.getpid(),
        "memory_bytes": memory.get(pid) if pid is not None else None,
        "shares_process_with": sharing[pid] - 1 if pid is not None else None,
    }
