"""`SyncEnv` over a connection that is cut: the same as `AsyncEnv`."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from cutting import bench
from requirements import requirement
from support.servers import BOUND_S, bounded

from openenv_sync import SyncEnv


@requirement("resume:same-session", "resume:callback", "sync:mirrors-async")
async def test_a_sync_client_goes_on_and_is_told() -> None:
    async with bench() as here:
        told: queue.Queue[tuple[SyncEnv[Any, Any, Any], str]] = queue.Queue()

        def play() -> None:
            with SyncEnv[Any, Any, Any](here.url) as env:
                assert env.on_reconnect is None
                env.on_reconnect = lambda who: told.put((who, threading.current_thread().name))
                env.reset(start=3)
                session = env.session_id
                for n in range(3):
                    cut.set()
                    assert again.wait(BOUND_S)
                    again.clear()
                    assert env.step({"n": 1}).observation["total"] == 4 + n
                    who, thread = told.get(timeout=BOUND_S)
                    assert who is env
                    assert thread == "openenv-sync-loop"
                env.on_reconnect = None
                assert env.session_id == session

        cut, again = threading.Event(), threading.Event()
        playing = asyncio.create_task(asyncio.to_thread(play))
        for _ in range(3):
            assert await asyncio.to_thread(cut.wait, BOUND_S)
            cut.clear()
            here.way.cut()
            again.set()
        await bounded(playing)
        await here.until_empty()
    assert here.journal.count("built") == 1
