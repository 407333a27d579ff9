"""Plays an app that records on a disk that is full for a while; a program of its own, as the limit is a process's.

python small_disk.py FOLDER
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from pathlib import Path

from openenv_async import AsyncEnv
from openenv_async.recording import writer
from support.recordings import recording_app

ROOM = 20_000


async def main(folder: Path) -> None:
    app = recording_app(folder)
    recorder = app.server.recorder
    assert recorder is not None
    async with AsyncEnv(app) as env:
        await env.reset()
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
        for n in range(100):
            assert (await env.step({"n": 1, "value": "x" * 1000})).observation["total"] == n + 1
        # Written or given up.
        await recorder.aclose()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await env.step({"n": 1})
    await app.server.drain()


if __name__ == "__main__":
    # Every line is tried, so that the file says which were not taken.
    writer.RETRY_S = 0.0
    writer.MOST_AT_ONCE = 1
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    asyncio.run(main(Path(sys.argv[1])))
