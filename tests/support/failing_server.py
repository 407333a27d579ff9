"""A server of the native wire that fails once, with exactly the error that a test names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from openenv_async.protocol.frames import Failure, Reset
from support.scripted_servers import NativePeer, native_server, reply


@contextlib.asynccontextmanager
async def failing_server(when: str, code: str, details: dict[str, Any]) -> AsyncIterator[tuple[str, list[Any]]]:
    """Fail the first reset, or the step after the first one; the second session's episode ends after two steps.

    Gives the address, and a list that gets the session of every episode that was begun.
    """
    begun: list[Any] = []
    failed: list[bool] = []

    async def script(peer: NativePeer) -> None:
        steps = 0
        while True:
            request = await asyncio.wait_for(peer.requests.get(), 60)
            if isinstance(request, Reset):
                begun.append((peer, request.sid))
                steps = 0
            else:
                steps += 1
            due = isinstance(request, Reset) if when == "reset" else steps == 2
            if due and not failed:
                failed.append(True)
                await peer.send(Failure(request.sid, request.rid, code, "what went wrong", details))
            else:
                await peer.send(reply(request, done=steps == 2, reward=1.0))

    async with native_server(script) as url:
        yield url, begun
