"""The honest session beside a check: what it says of the server is the server's doing."""

from __future__ import annotations

import asyncio
import time

import pytest
from checked import own_server
from requirements import requirement
from support.servers import bounded

from openenv_async.checking import calm
from openenv_async.checking.neighbour import Neighbour
from openenv_async.checking.stalls import Stalls
from openenv_async.checking.world import World
from openenv_async.validation.subject import Subject


async def test_a_loop_that_stands_still_is_noticed_by_whoever_is_woken_first() -> None:
    stalls = Stalls()
    stalls.start()
    woken = asyncio.get_running_loop().create_future()
    woken.set_result(None)
    began = time.perf_counter()
    time.sleep(0.3)  # noqa: ASYNC251 - what is watched
    await woken
    assert 0.25 < stalls.lost_s <= time.perf_counter() - began
    stalls.stop()
    stalls.stop()


@requirement("check:ours-holds")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_the_neighbour_blames_no_server_for_a_client_that_is_busy_itself() -> None:
    with own_server("counting", "8") as url:
        world = World(Subject(url=url, call_timeout_s=15.0), most_sessions=8)
        for look in (calm.health, calm.schema, calm.play):
            await bounded(look(world))
        neighbour = Neighbour(world, lambda: "a busy moment")
        await bounded(neighbour.start())
        async with asyncio.timeout(15):
            while neighbour._since is None:  # noqa: ASYNC110 - polls as fast as it can
                await asyncio.sleep(0)
            seen = neighbour.latency
            # In the middle of a call.
            time.sleep(world.patience_s + 0.1)  # noqa: ASYNC251 - a busy machine is so
            while neighbour.latency == seen:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await bounded(neighbour.stop())
        assert "calls beside the rest" in neighbour.verdict()
