"""`openenv serve` with counting environments, in a process of its own that a test may stop, pause and kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from support.servers import BOUND_S, bounded
from watched import OPTIONS, PATH

LOOKS_PER_S = 20

APP = Path(__file__).with_name("watched.py")


class ServerProcess:
    """A running server; `server_process()` makes one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.said: list[str] = []
        self.seen = psutil.Process(process.pid)
        self._reading: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def begin(self) -> None:
        """Wait until it serves, and go on reading what it says."""
        assert self.process.stdout is not None
        while True:
            line = (await bounded(self.process.stdout.readline())).decode()
            assert line, f"the server ended: {''.join(self.said)}"
            self.said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        self.port = int(found[1])
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said.append(line.decode())

    async def look(self) -> dict[str, Any]:
        """Give what `watched.Watched.look` sees inside."""
        async with httpx.AsyncClient(trust_env=False, timeout=BOUND_S) as http:
            answer = await http.get(self.url + PATH)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def until(self, name: str, value: int, timeout_s: float = BOUND_S) -> dict[str, Any]:
        """Look until `name` has this value; what is being closed takes its time."""
        seen: dict[str, Any] = {}
        for _ in range(round(timeout_s * LOOKS_PER_S)):
            seen = await self.look()
            if seen[name] == value:
                return seen
            await asyncio.sleep(1 / LOOKS_PER_S)
        raise AssertionError(f"waited in vain for {name} to become {value}: {seen | {'executed': '...'}}")

    async def least(self, *names: str, timeout_s: float = BOUND_S) -> dict[str, int]:
        """Look until the least values seen have been the least for half a second.

        For what goes away by itself in a while, and what is there only because somebody looks.
        """
        found: dict[str, int] = {}
        since = 0
        for _ in range(round(timeout_s * LOOKS_PER_S)):
            descriptors = self.seen.num_fds()  # before the look, which takes one
            children = len(self.seen.children(recursive=True))
            seen = await self.look() | {"descriptors": descriptors, "processes": children}
            lower = {name: min(found.get(name, seen[name]), seen[name]) for name in names}
            since = since + 1 if lower == found else 0
            found = lower
            if since == LOOKS_PER_S // 2:
                return found
            await asyncio.sleep(1 / LOOKS_PER_S)
        raise AssertionError(f"it does not come to rest: {found}")

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def end(self, kind: signal.Signals = signal.SIGTERM, timeout_s: float = BOUND_S) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(kind)
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def aclose(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await bounded(self.process.wait())
        if self._reading is not None:
            await bounded(self._reading)


@contextlib.asynccontextmanager
async def server_process(
    port: int = 0, *, arguments: tuple[str, ...] = (), **options: Any
) -> AsyncIterator[ServerProcess]:
    """Start a server.

    Args:
        port: 0 for a free one.
        arguments: of `openenv serve`.
        options: of `watched.make`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openenv_async.cli", "serve", f"{APP}:app", "--port", str(port), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {OPTIONS: json.dumps(options)},
    )
    server = ServerProcess(process)
    try:
        await server.begin()
        yield server
    finally:
        await server.aclose()
