"""`openenv serve` in processes of their own, to be told to stop or to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from support import PROGRAMS
from support.servers import bounded

SERVED = PROGRAMS / "drained_server.py"


@contextlib.asynccontextmanager
async def server_process(port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    command = [sys.executable, "-m", "openenv_async.cli", "serve", f"{SERVED}:app", "--port", str(port)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    assert process.stdout is not None
    try:
        while port == 0 or process.stdout is not None:
            line = (await bounded(process.stdout.readline())).decode()
            assert line, "the server ended"
            if "http://127.0.0.1:" in line:
                port = int(line.partition("http://127.0.0.1:")[2].split()[0].rstrip(".,"))
                break
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await bounded(process.communicate())
