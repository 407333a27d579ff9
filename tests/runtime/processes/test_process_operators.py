"""Environments in processes, as an operator sees and ends them."""

from __future__ import annotations

import asyncio

import pytest
from requirements import requirement
from support.operator_client import close, listed, until_listed
from support.risky_env import playing, risky_app, running
from support.servers import bounded, serving

from openenv_async.errors import SessionBroken, SessionLost
from openenv_async.limits import Limits


@requirement("sessions:listed")
async def test_each_process_is_listed_with_its_memory() -> None:
    async with running(risky_app()) as app, serving(app) as served, playing(app, 2) as (one, other):
        pids = {(await env.step({})).observation["pid"] for env in (one, other)}
        said = await listed(served.url, sort="memory")
    assert {row["pid"] for row in said["sessions"]} == pids
    assert all(row["memory_bytes"] > 1_000_000 and row["shares_process_with"] == 0 for row in said["sessions"])
    assert said["server"]["execution"] == "process"


@requirement("sessions:hung")
async def test_a_hung_process_is_killed() -> None:
    limits = Limits(close_timeout_s=0.5)
    async with running(risky_app(limits=limits)) as app, serving(app) as served, playing(app) as (env,):
        await env.step({})
        hanging = asyncio.ensure_future(env.step({"do": "sleep"}))
        (row,) = (await until_listed(served.url, lambda said: said["sessions"][0]["call"]))["sessions"]
        assert row["call"]["kind"] == "step"
        said = await close(served.url, row["id"])
        assert said.status_code == 200
        with pytest.raises((SessionLost, SessionBroken)):
            await bounded(hanging)
        assert (await listed(served.url))["total"] == 0
