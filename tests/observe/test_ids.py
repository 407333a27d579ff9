"""Results and errors have the same ids of session and request as the server's log."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.logs_and_metrics import field, listening
from support.play_env import play_app
from support.servers import Journal, serving

from openenv_async import AsyncEnv, Environment, Limits
from openenv_async.errors import EnvError, EnvironmentFailed, InvalidPayload, SessionLost, StepTimeout
from openenv_sync import SyncEnv

LOGGER = logging.getLogger("an.author")


@requirement("ids:results")
async def test_a_result_and_an_error_are_found_in_the_servers_log() -> None:
    with listening() as lines:
        async with serving(play_app(Journal())) as served, AsyncEnv[Any, Any, Any](served.url) as env:
            first = await env.reset()
            second = await env.step({"n": 1})
            assert (first.session_id, first.request_id) == (env.session_id, 1)
            assert (second.session_id, second.request_id) == (env.session_id, 2)
            with pytest.raises(EnvironmentFailed) as failed:
                await env.step({"op": "raise"})
            with pytest.raises(InvalidPayload) as invalid:
                await env.step({"x": 1})
            assert (await env.step({"n": 1})).request_id == 5
        assert (failed.value.session_id, failed.value.request_id) == (env_id := first.session_id, 3)
        assert (invalid.value.session_id, invalid.value.request_id) == (env_id, 4)
        (raised,) = lines.find("environment_raised")
        assert (field(raised, "session_id"), field(raised, "request_id")) == (env_id, 3)
        assert field(raised, "error_id") == failed.value.details["error_id"]
        calls = [(field(each, "session_id"), field(each, "request_id")) for each in lines.find("call")]
        assert calls == [(env_id, rid) for rid in range(1, 6)]
        assert [field(each, "session_id") for each in lines.find("session_ended")] == [env_id]
    for error in (pickle.loads(pickle.dumps(failed.value)), copy.copy(failed.value)):
        assert (error.session_id, error.request_id) == (env_id, 3)


@requirement("ids:results")
async def test_deadlines_and_lost_sessions_are_named_too() -> None:
    async with serving(play_app(Journal(), limits=Limits(resume_window_s=0))) as served:
        env = AsyncEnv[Any, Any, Any](served.url)
        await env.connect()
        await env.reset()
        name = env.session_id
        with pytest.raises(StepTimeout) as late:
            await env.step({"op": "wait"}, timeout_s=0.05)
        assert (late.value.session_id, late.value.request_id) == (name, 2)
    with pytest.raises(SessionLost) as lost:
        await env.step({"n": 1})
    assert lost.value.session_id == name
    await env.close()


async def test_errors_of_no_session_have_no_ids() -> None:
    error = EnvError("nothing of a session")
    assert (error.session_id, error.request_id) == (None, None)


async def test_the_json_wire_counts_the_requests() -> None:
    async with serving(play_app(Journal())) as served:
        async with AsyncEnv[Any, Any, Any](served.url, wire="json") as env:
            results = [await env.reset(), await env.step({"n": 1}), await env.step({"n": 1})]
    assert [(each.session_id, each.request_id) for each in results] == [(None, 1), (None, 2), (None, 3)]


async def test_answers_over_http_have_the_ids() -> None:
    with listening() as lines:
        async with serving(play_app(Journal())) as served, httpx.AsyncClient(base_url=served.url) as client:
            first = await client.post("/reset", json={})
            name = first.headers["x-session-id"]
            second = await client.post("/step", json={"action": {"n": 1}}, headers={"x-session-id": name})
            alone = await client.get("/state")
    assert (first.headers["x-request-id"], second.headers["x-request-id"]) == ("1", "2")
    assert "x-request-id" not in alone.headers
    assert [field(each, "request_id") for each in lines.find("call") if field(each, "session_id") == name] == [1, 2]


async def test_the_sync_client_has_the_ids() -> None:
    async with serving(play_app(Journal())) as served:

        def play() -> tuple[Any, Any, Any]:
            with SyncEnv[Any, Any, Any](base_url=served.url) as env:
                env.reset()
                result = env.step({"n": 1})
                return result.session_id, result.request_id, env.session_id

        found, request_id, name = await asyncio.to_thread(play)
    assert (found, request_id) == (name, 2)


class Chatty(Environment[Any, Any, Any]):
    """Logs from its methods, and from what it starts."""

    def _say(self, what: str) -> None:
        LOGGER.warning("%s", what)

    @property
    def state(self) -> Any:
        return {}


class AsyncChatty(Chatty):
    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        self._say("reset")
        return {}

    async def step(self, action: Any) -> Any:
        self._say("step")
        await asyncio.create_task(self._later())
        await asyncio.to_thread(self._say, "worker")
        return {}

    async def _later(self) -> None:
        self._say("task")

    async def close(self) -> None:
        self._say("close")


class SyncChatty(Chatty):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        self._say("reset")
        return {}

    def step(self, action: Any) -> Any:
        self._say("step")
        return {}

    def close(self) -> None:
        self._say("close")


SAID = {
    AsyncChatty: [("reset", 1), ("step", 2), ("task", 2), ("worker", 2), ("close", None)],
    SyncChatty: [("reset", 1), ("step", 2), ("close", None)],
}


@requirement("logs:ids")
@pytest.mark.parametrize(
    ("cls", "execution"),
    [(AsyncChatty, None), (AsyncChatty, "thread"), (SyncChatty, None), (SyncChatty, "inline"), (SyncChatty, "process")],
)
async def test_what_an_environment_logs_has_its_session_and_request(cls: Any, execution: str | None) -> None:
    from openenv_async import create_app

    with listening(name="an.author") as lines:
        app = create_app(cls, dict, dict, execution=execution)
        async with serving(app) as served:
            envs = [AsyncEnv[Any, Any, Any](served.url) for _ in range(2)]
            for env in envs:
                await env.open()
                await env.reset()
            for env in envs:
                await env.step({})
            names = [env.session_id for env in envs]
            for env in envs:
                await env.close()
    for name in names:
        found = [
            (each.getMessage().rpartition(" ")[2], field(each, "request_id"))
            for each in lines.records
            if field(each, "session_id") == name
        ]
        assert found == SAID[cls]
    assert {field(each, "session_id") for each in lines.records} == set(names)
