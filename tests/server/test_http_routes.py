"""The HTTP routes as OpenEnv has them: one environment for each request, within the cap, closed once."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.http_play import SESSION, http
from support.play_env import AsyncPlay, Execution, Play, PlayAction, PlayObservation, PlayState
from support.servers import Journal, bounded

from openenv_async import EnvironmentMetadata, Limits, create_app

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


async def test_health_asks_no_environment() -> None:
    async with http() as play:
        answer = await play.client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
        assert answer.headers["content-type"] == "application/json"
        assert play.journal.count("built") == 0


@requirement("close:once", "slot:freed", "http:fresh-environment")
@EXECUTIONS
async def test_each_request_without_a_session_gets_a_fresh_environment(execution: Execution) -> None:
    async with http(execution) as play:
        for times in (1, 2):
            answer = await play.client.post("/step", json={"action": {"n": 3}})
            assert (answer.status_code, answer.json()) == (
                200,
                {
                    "observation": {"metadata": {}, "total": 3, "value": None},
                    "reward": 3.0,
                    "done": False,
                    "metadata": None,
                },
            )
            assert SESSION not in answer.headers
            assert play.journal.count("closed") == times
            assert play.active == 0
        state = await play.client.get("/state")
        assert state.json() == {"episode_id": None, "step_count": 0, "total": 0}
        assert play.journal.count("built") == play.journal.count("closed") == 3
        assert play.active == 0


async def test_metadata() -> None:
    class Described(AsyncPlay):
        """An environment with a word to say."""

        def get_metadata(self) -> EnvironmentMetadata:
            return EnvironmentMetadata(name="described", description="d", version="2.0", author="me")

    journal = Journal()
    app = create_app(lambda: Described(journal), PlayAction, PlayObservation, state_cls=PlayState)
    async with http(app=app) as play:
        answer = await play.client.get("/metadata")
        assert answer.status_code == 200
        assert answer.json() == {
            "name": "described",
            "description": "d",
            "readme_content": None,
            "version": "2.0",
            "author": "me",
            "documentation_url": None,
        }
        assert journal.count("built") == journal.count("closed") == 1
    async with http() as play:
        assert (await play.client.get("/metadata")).json()["name"] == "AsyncPlay"


@requirement("loop:no-sync-code")
async def test_no_route_runs_sync_code_on_the_loop() -> None:
    where: list[tuple[str, int]] = []

    class Watched(Play):
        def __init__(self) -> None:
            where.append(("init", threading.get_ident()))
            super().__init__(Journal())

        def reset(self, seed: int | None = None, episode_id: str | None = None, op: str = "", start: int = 0) -> Any:
            where.append(("reset", threading.get_ident()))
            return super().reset(seed, episode_id, op, start)

        def step(self, action: PlayAction, timeout_s: float | None = None) -> Any:
            where.append(("step", threading.get_ident()))
            return super().step(action)

        @property
        def state(self) -> PlayState:
            where.append(("state", threading.get_ident()))
            return PlayState()

        def get_metadata(self) -> EnvironmentMetadata:
            where.append(("metadata", threading.get_ident()))
            return super().get_metadata()

        def close(self) -> None:
            where.append(("close", threading.get_ident()))

    async with http(app=create_app(Watched, PlayAction, PlayObservation, state_cls=PlayState)) as play:
        for path in ("/state", "/metadata"):
            assert (await play.client.get(path)).status_code == 200
        session = await play.begin()
        await play.step(session, n=1)
        await play.client.delete("/session", headers=session)
    assert {what for what, _ in where} == {"init", "reset", "step", "state", "metadata", "close"}
    assert threading.get_ident() not in {thread for _, thread in where}


@pytest.mark.parametrize("content", [None, b"", b"{}", b' {"seed": 1} ', b'{"start": 0}'])
async def test_a_reset_needs_no_body(content: bytes | None) -> None:
    async with http() as play:
        answer = await play.client.post("/reset", content=content)
        assert answer.status_code == 200
        assert answer.json()["observation"]["total"] == 0
        assert answer.headers[SESSION]


@requirement("nothing-dropped:seed", "nothing-dropped:argument")
async def test_what_was_not_done_as_asked_is_in_a_header() -> None:
    class Plain(AsyncPlay):
        async def reset(self) -> Any:  # type: ignore[override]
            return PlayObservation()

    app = create_app(lambda: Plain(Journal()), PlayAction, PlayObservation)
    async with http(app=app) as play:
        answer = await play.client.post("/reset", json={"seed": 3, "episode_id": "e"})
        assert answer.status_code == 200
        told = answer.headers["x-openenv-warning"]
        assert "ignores seed" in told
        assert "ignores episode_id" in told
        refused = await play.client.post("/reset", json={"colour": "red"})
        assert refused.status_code == 422
        assert refused.json()["path"] == "colour"
        answer = await play.client.post(
            "/step", json={"action": {"n": 1}, "request_id": "r", "timeout_s": 9, "render": True, "x\r\ny: z": 1}
        )
        assert answer.status_code == 200
        told = answer.headers["x-openenv-warning"]
        assert "'render' is ignored" in told
        assert "request_id" not in told
        assert "y" not in answer.headers
        assert "x-openenv-warning" not in (await play.client.post("/step", json={"action": {}})).headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/reset", 405),
        ("GET", "/step", 405),
        ("POST", "/state", 405),
        ("POST", "/health", 405),
        ("PUT", "/step", 405),
        ("GET", "/session", 405),
        ("GET", "/ws", 404),
        ("HEAD", "/health", 200),
        ("HEAD", "/docs", 200),
    ],
)
async def test_methods_and_paths(method: str, path: str, status: int) -> None:
    async with http() as play:
        answer = await play.client.request(method, path)
        assert answer.status_code == status
        if method == "HEAD":
            assert answer.content == b""
        else:
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["detail"]
        if status == 405:
            assert answer.headers["allow"]
        assert play.journal.count("built") == 0


@requirement("values:json")
async def test_values_in_http_bodies() -> None:
    async with http() as play:
        session = await play.begin()
        answer = await play.step(session, op="echo", value=[1.5, None, "\N{SNOWMAN}", 2**70, {"a": [True]}])
        assert answer.json()["observation"]["value"] == [1.5, None, "\N{SNOWMAN}", 2**70, {"a": [True]}]
        content = b'{"action": {"op": "echo", "value": [NaN, Infinity, "\\ud800"]}}'
        answer = await play.client.post("/step", content=content, headers=session)
        assert json.loads(answer.content)["observation"]["value"] == [None, None, "\ud800"]
        for op in ("nan", "inf", "-inf"):
            assert (await play.step(session, op=op)).json()["reward"] is None


@requirement("slot:freed", "close:once")
async def test_many_requests_at_once_stay_within_the_cap() -> None:
    async with http("thread", max_concurrent_envs=4) as play:
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(base_url=play.served.url, limits=limits, timeout=15) as many:
            calls = [many.post("/step", json={"action": {"n": 1}}) for _ in range(40)]
            answers = await bounded(asyncio.gather(*calls))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 4
        assert play.active == 0
        assert play.journal.count("built") == play.journal.count("closed") == statuses.count(200)


@requirement("session:hang-contained", "slot:freed")
@EXECUTIONS
async def test_a_step_past_its_deadline(execution: Execution) -> None:
    async with http(execution, limits=Limits(max_sessions=1)) as play:
        answer = await play.client.post("/step", json={"action": {"op": "wait"}, "timeout_s": 0.05})
        assert answer.status_code == 504
        assert answer.json()["code"] == "TIMEOUT"
        assert play.active == 0
        assert (await play.client.post("/step", json={"action": {"n": 1}})).status_code == 200
        play.journal.open_gate("step")
        await play.journal.until("closed", 2)
    assert play.journal.count("built") == play.journal.count("closed") == 2
