"""The honest session beside a check: what it says of the server is the server's doing."""

from __future__ import annotations

import asyncio
import time

import pytest
from checked import own_server
from requirements import requirement
from support.servers import bounded

from openenv_async.conformance.chaos.isolation_probe import BlockedTime, IsolationProbe
from openenv_async.conformance.server import baseline
from openenv_async.conformance.server.context import ServerContext
from openenv_async.conformance.server.endpoints import check_schema
from openenv_async.conformance.target import ServerTarget


async def test_a_blocked_loop_is_noticed_by_the_first_task_that_runs_after_it() -> None:
    blocked = BlockedTime()
    blocked.start()
    woken = asyncio.get_running_loop().create_future()
    woken.set_result(None)
    began = time.perf_counter()
    time.sleep(0.3)  # noqa: ASYNC251 - what is watched
    await woken
    assert 0.25 < blocked.lost_s <= time.perf_counter() - began
    blocked.stop()
    blocked.stop()


@requirement("check:ours-holds")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_the_probe_does_not_blame_the_server_for_its_own_blocked_loop() -> None:
    with own_server("counting", "8") as url:
        context = ServerContext(ServerTarget(url=url, call_timeout_s=15.0), most_sessions=8)
        await bounded(check_schema(context.target, context.schemas))
        await bounded(baseline.play(context))
        probe = IsolationProbe(context, lambda: "a busy moment")
        await bounded(probe.start())
        async with asyncio.timeout(15):
            while probe._since is None:  # noqa: ASYNC110 - polls as fast as it can
                await asyncio.sleep(0)
            seen = probe.latency
            # In the middle of a call.
            time.sleep(context.patience_s + 0.1)  # noqa: ASYNC251 - a busy machine is so
            while probe.latency == seen:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await bounded(probe.stop())
        assert "calls in parallel" in probe.outcome().sentence
