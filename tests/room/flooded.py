"""A server in a process of its own, watched while a hostile client floods it: memory and a neighbour's latency."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
from support.raw_clients import RawNative, raw_native
from support.servers import BOUND_S

MIB = 1024 * 1024
EVERY_S = 0.02
BEARABLE_S = 5.0
"""A neighbour's slowest step under a flood, also on a busy machine: it waits, it is not shut out."""

WHOLE_S = 40.0
"""Nothing that is watched takes longer."""


class Flooded:
    """What is seen of the server; `peak_mib` is above what it held before."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self._process = psutil.Process(process.pid)
        self._base = self._process.memory_info().rss
        self.peak_mib = 0.0
        self.latencies: list[float] = []

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def connections(self) -> int:
        """Sockets that the server holds open, the one it listens on included."""
        return len(self._process.net_connections())

    @property
    def slowest_s(self) -> float:
        return max(self.latencies)

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
            began = time.perf_counter()
            assert (await neighbour.step()).total == len(self.latencies) + 1
            self.latencies.append(time.perf_counter() - began)
            self.look()
            await asyncio.sleep(EVERY_S)

    async def quiet(self, steps: int = 10) -> None:
        """Return when so many more steps were played, the last ones in good time: the flood is dealt with."""
        least = len(self.latencies) + steps
        async with asyncio.timeout(BOUND_S):
            while len(self.latencies) < least or max(self.latencies[-10:]) > 0.05:  # noqa: ASYNC110 - looks at figures
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
