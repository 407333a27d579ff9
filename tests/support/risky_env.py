"""An environment that does what no environment should, and what a test needs to look at its processes from outside."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil

from openenv_async import Action, AsyncEnv, Environment, Observation, ProcessOptions, State, create_app
from openenv_async.limits import Limits
from openenv_async.server.app import EnvApp
from support.shared_journal import SharedJournal, until


class RiskyAction(Action):
    do: str = "count"
    value: Any = None


class RiskyObservation(Observation):
    count: int = 0
    pid: int = 0
    value: Any = None


def _print_and_exit(value: Any) -> None:
    for number in range(30):
        sys.stderr.write(f"line {number} of /home/somebody/secret/file.py\n")
    os._exit(value)


def _grandchild(value: Any) -> int:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **(value or {})).pid


def _daemon(value: Any) -> int:
    """A grandchild that left its family, as daemons do."""
    code = "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        return int(program.stdout.readline())


def _descriptors(value: Any) -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            mode = os.fstat(int(fd)).st_mode
            if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
                found.append(f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


def _spin(value: Any) -> None:
    while True:
        pass


def _memory(value: Any) -> int:
    return len(bytearray(value))


def _draw(value: Any) -> list[float]:
    import numpy as np

    return [random.random(), float(np.random.random())]


DEEDS: dict[str, Callable[[Any], Any]] = {
    "exit": lambda value: os._exit(value or 0),
    "print and exit": _print_and_exit,
    "sys.exit": sys.exit,
    "segfault": lambda value: ctypes.string_at(0),
    "kill": lambda value: os.kill(os.getpid(), value),
    "sleep": lambda value: time.sleep(600),
    "spin": _spin,
    "memory": _memory,
    "everything": lambda value: [bytearray(64 * 2**20) for _ in range(10_000)],
    "grandchild": _grandchild,
    "daemon": _daemon,
    "descriptors": _descriptors,
    "signals": lambda value: [
        s.name for s in signal.Signals if signal.getsignal(s) not in (signal.SIG_DFL, signal.SIG_IGN, None)
    ],
    "threads": lambda value: threading.active_count(),
    "draw": _draw,
    "print": lambda value: sys.stdout.write(value),
    "environ": os.environ.get,
    "open": lambda value: len([open(os.devnull) for _ in range(value)]),
    "echo": lambda value: value,
    "size": len,
}


class Risky(Environment[Any, Any, State]):
    def __init__(self, journal: SharedJournal | None = None, build: str = "", value: Any = None) -> None:
        self.journal, self.count = journal, 0
        if build:
            DEEDS[build](value)
        self._note("built")

    def _note(self, what: str) -> None:
        if self.journal is not None:
            self.journal.note(what)

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        self.count = 0
        return RiskyObservation(pid=os.getpid())

    def step(self, action: RiskyAction) -> Any:
        self.count += 1
        if action.do == "gate":
            assert self.journal is not None
            self._note("waiting")
            assert self.journal.gate("go").wait()
        value = DEEDS[action.do](action.value) if action.do in DEEDS else None
        return RiskyObservation(count=self.count, pid=os.getpid(), value=value)

    @property
    def state(self) -> State:
        return State(step_count=self.count)

    def close(self) -> Any:
        self._note("closed")


class AsyncRisky(Risky):
    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return super().reset(seed)

    async def step(self, action: RiskyAction) -> Any:
        if action.do == "await":
            self._note("waiting")
            await asyncio.sleep(600)
        return super().step(action)

    async def close(self) -> None:
        super().close()


def risky_app(factory: Callable[[], Any] = Risky, limits: Limits | None = None, **options: Any) -> EnvApp:
    return create_app(
        factory,
        RiskyAction,
        RiskyObservation,
        execution="process",
        limits=limits or Limits(close_timeout_s=3.0),
        processes=ProcessOptions(**({"spare_processes": 1} | options)),
    )


@contextlib.asynccontextmanager
async def running(app: EnvApp) -> AsyncIterator[EnvApp]:
    """The app between its startup and its shutdown; clients connect to it without a socket."""
    app.server.start()
    try:
        yield app
    finally:
        await app.server.drain(0.5)


@contextlib.asynccontextmanager
async def playing(app: Any, sessions: int = 1) -> AsyncIterator[list[AsyncEnv[Any, Any, Any]]]:
    """Clients that have been reset."""
    clients = [await AsyncEnv.connect(app) for _ in range(sessions)]
    try:
        await asyncio.gather(*(client.reset() for client in clients))
        yield clients
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def descendants() -> set[int]:
    """Every process that this one has, zombies too."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def descriptors() -> int:
    """Count this process's; but for the null device, which uvloop keeps open for the day it runs out of others."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return len([link for link in links if link != os.devnull])


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Whatever happens inside, no process and no descriptor stays."""
    before, held = descendants(), descriptors()
    yield
    await until(lambda: descendants() <= before, "processes are left")
    await until(lambda: descriptors() <= held, "descriptors are left")
