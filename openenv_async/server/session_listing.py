"""The JSON of `GET /sessions`: what each session does, how long its steps take, what memory it uses.

`openenv top` reads it. Figures are in seconds and bytes, latencies in milliseconds. Thousands of sessions are sorted
by what is cheap to read; only the requested page is written.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from openenv_async.protocol.session_states import State
from openenv_async.runtime.session import Session
from openenv_async.runtime.session_stats import SessionStats
from openenv_async.server.server import Server

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_bytes(pids: Iterable[int]) -> dict[int, int]:
    """Return the resident memory of each process that exists. Reads files: not for the event loop."""
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
        return None if os.path.isdir("/proc/self") else _by_psutil(pid)
    except (OSError, ValueError, IndexError):
        return None


def _by_psutil(pid: int) -> int | None:
    """Ask psutil, if it is installed, on systems without `/proc`."""
    try:
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    except Exception:  # not installed, or the process has gone
        return None


SORTS = ("age", "steps", "latency", "busy", "memory", "id")
"""Sort orders with the largest first; only ids are sorted upwards."""

MOST_LISTED = 1000

_BY_STEP: dict[bool | None, str] = {True: "inline", False: "thread"}
"""Execution of environments that declare none, by whether `step` is `async def`."""


class ListQuery(NamedTuple):
    """The query of `GET /sessions`."""

    limit: int
    offset: int
    sort: str


async def list_sessions(server: Server, query: ListQuery) -> dict[str, Any]:
    """Return the answer, ready to be encoded."""
    sessions = list(server.registry.sessions.values())
    pids = {session.pid for session in sessions if session.pid is not None} if query.sort == "memory" else set()
    memory = await asyncio.to_thread(resident_bytes, pids) if pids else {}
    sessions.sort(key=_order(query.sort, memory))
    shown = sessions[query.offset : query.offset + query.limit]
    mine = os.getpid()
    pids = {mine, *(session.pid for session in shown if session.pid is not None)} - memory.keys()
    memory |= await asyncio.to_thread(resident_bytes, pids)
    sharing = _sharing(sessions)
    return {
        "server": _about(server, memory.get(mine)),
        "total": len(sessions),
        "offset": query.offset,
        "limit": query.limit,
        "sort": query.sort,
        "sessions": [_row(server, session, memory, sharing) for session in shown],
    }


def _order(sort: str, memory: dict[int, int]) -> Callable[[Session], Any]:
    now = time.perf_counter()
    orders: dict[str, Callable[[Session], Any]] = {
        "age": lambda session: session.created_at,
        "steps": lambda session: -session.steps,
        "latency": lambda session: -_mean(session.stats),
        "busy": lambda session: session.flight.began_at - now if session.flight.call is not None else 0.0,
        "memory": lambda session: -memory.get(session.pid or 0, 0),
        "id": lambda session: session.id,
    }
    return orders[sort]


def _mean(stats: SessionStats) -> float:
    return sum(stats.latencies_s) / len(stats.latencies_s) if stats.latencies_s else 0.0


def _sharing(sessions: Iterable[Session]) -> dict[int, int]:
    """Return how many sessions each process has."""
    found: dict[int, int] = {}
    for session in sessions:
        if session.pid is not None:
            found[session.pid] = found.get(session.pid, 0) + 1
    return found


def _about(server: Server, memory: int | None) -> dict[str, Any]:
    registry, stats, now = server.registry, server.stats, time.time()
    return {
        "id": server.id,
        "environment": server.blueprint.name,
        "at": now,
        "uptime_s": round(now - stats.began_at, 3),
        "active": registry.active,
        "max": registry.max_sessions,
        "waiting": registry.waiting,
        "closing": registry.closing,
        "states": registry.by_state(),
        "steps": stats.steps,
        "episodes": stats.episodes,
        "errors": stats.errors,
        "step_ms": latency_figures(stats.latencies_s()),
        "execution": server.blueprint.execution or _BY_STEP.get(server.blueprint.is_async()),
        "pid": os.getpid(),
        "memory_bytes": memory,
    }


def latency_figures(latencies_s: Iterable[float]) -> dict[str, float] | None:
    """Return mean, median, 99th percentile and maximum in milliseconds; None when there are no latencies."""
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
    stats, flight, now = session.stats, session.flight, time.perf_counter()
    working = flight.call is not None
    idle = None if working or session.state.now is State.OPENING else now - session.idle_since
    pid = session.pid
    return {
        "id": session.id,
        "state": session.state.now.name.lower(),
        "steps": session.steps,
        "episodes": session.episodes,
        "errors": stats.errors,
        "age_s": round(time.time() - session.created_at, 3),
        "idle_s": None if idle is None else round(max(0.0, idle), 3),
        "call": {"kind": flight.kind, "for_s": round(now - flight.began_at, 3)} if working else None,
        "queued": len(session.queue),
        "step_ms": latency_figures(stats.latencies_s),
        "wire": session.sink.wire,
        "client": session.sink.peer,
        "execution": session.execution,
        "pid": pid if pid is not None else os.getpid(),
        "memory_bytes": memory.get(pid) if pid is not None else None,
        "shares_process_with": sharing[pid] - 1 if pid is not None else None,
    }
