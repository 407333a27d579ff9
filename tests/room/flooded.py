"""A server in a process of its own, watched under a flood: its memory, and what a neighbour waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
from support.raw_clients import RawNative, raw_native
from support.servers import BOUND_S

MIB = 1024 * 1024
EVERY_S = 0.02
BEARABLE_S = 5.0
"""Processor time that the server may spend on others during one step of a neighbour: it waits, it is not shut out."""

QUIET_S = 0.05
"""Processor time of a step beside which nothing else is done."""

WHOLE_S = 40.0
"""Nothing that is watched takes longer."""


class Flooded:
    """What is seen of the server; `peak_mib` is above what it held before."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self._process = psutil.Process(process.pid)
        self._base = self._process.memory_info().rss
        self.peak_mib = 0.0
        self.costs_s: list[float] = []
        """The server's processor time during each step of the neighbour, whatever else keeps the machine busy."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def connections(self) -> int:
        """Sockets that the server holds open, the one it listens on included."""
        return len(self._process.net_connections())

    @property
    def costliest_s(self) -> float:
        return max(self.costs_s)

    def _worked_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def look(self) -> None:
        self.peak_mib = max(self.peak_mib, (self._process.memory_info().rss - self._base) / MIB)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Meanwhile a neighbour plays a session of its own, and every step must count exactly one up."""
        async with asyncio.timeout(WHOLE_S), raw_native(self.url) as neighbour:
            await neighbour.reset()
            playing = asyncio.create_task(self._play(neighbour))
            try:
                yield
            finally:
                playing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await playing

    async def _play(self, neighbour: RawNative) -> None:
        while True:
            before_s = self._worked_s()
            assert (await neighbour.step()).total == len(self.costs_s) + 1
            self.costs_s.append(self._worked_s() - before_s)
            self.look()
            await asyncio.sleep(EVERY_S)

    async def quiet(self, steps: int = 10) -> None:
        """Return when so many more steps were played, and beside the last ones nothing else was done."""
        least = len(self.costs_s) + steps
        async with asyncio.timeout(BOUND_S):
            while len(self.costs_s) < least or max(self.costs_s[-10:]) > QUIET_S:  # noqa: ASYNC110 - looks at figures
                await asyncio.sleep(EVERY_S)


@contextlib.contextmanager
def flooded(**limits: Any) -> Iterator[Flooded]:
    script = Path(__file__).with_name("flood_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), json.dumps(limits)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "it did not start"
            yield Flooded(url, process)
        finally:
            process.terminate()
            try:
                assert process.wait(BOUND_S) == 0, "it did not end cleanly"
            finally:
                process.kill()
