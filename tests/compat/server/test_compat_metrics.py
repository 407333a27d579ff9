"""OpenEnv apps have `/metrics` too, unless their author has it already."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI
from requirements import requirement
from support.logs_and_metrics import scrape
from support.servers import serving

from openenv_async import AsyncEnv
from openenv_async.compat.server.http_server import create_fastapi_app
from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.types import Action, Observation, State


class Act(Action):
    n: int = 0


class Obs(Observation):
    n: int = 0


class World(Environment[Act, Obs, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Obs:
        return Obs()

    def step(self, action: Act, timeout_s: float | None = None, **kwargs: Any) -> Obs:
        return Obs(n=action.n, reward=1.0)

    @property
    def state(self) -> State:
        return State()


def app() -> FastAPI:
    return create_fastapi_app(World, Act, Obs)


@requirement("metrics:counts")
async def test_sessions_and_requests_of_an_openenv_app_are_counted() -> None:
    async with serving(app()) as served:
        async with AsyncEnv[Any, Any, Any](served.url) as env:
            await env.reset()
            await env.step({"n": 1})
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{served.url}/reset", json={})).status_code == 200
        found = await scrape(served.url)
    assert found.value("openenv_steps_total") == 1
    assert found.value("openenv_episodes_total") == 2
    assert found.value("openenv_sessions_ended_total", reason="closed") == 2


async def test_an_authors_own_metrics_are_left_alone() -> None:
    theirs = app()

    @theirs.get("/metrics")
    async def metrics() -> dict[str, str]:
        return {"whose": "the author's"}

    async with serving(theirs) as served, httpx.AsyncClient() as client:
        assert (await client.get(f"{served.url}/metrics")).json() == {"whose": "the author's"}
