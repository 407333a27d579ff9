"""Where this runtime does better than OpenEnv 0.10.0 on purpose: the table in the docs, row by row."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.compat_envs import Said, Say, opened, recording
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv
from openenv_async.compat.server.http_server import create_app
from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.types import Observation, State
from openenv_async.errors import EnvironmentFailed, InvalidPayload


@requirement("compat:session-lives")
async def test_what_ends_a_session_on_openenv_is_answered_here() -> None:
    async with serving(create_app(recording(Journal()), Say, Said)) as served, opened(served.url) as ws:
        await ws.reset()
        answer = await ws.step(text="forbidden")
        assert answer["data"]["code"] == "VALIDATION_ERROR"
        assert answer["data"]["errors"][0]["msg"] == "Value error, this word is not allowed"
        assert (await ws.say([1, 2]))["data"]["code"] == "VALIDATION_ERROR"
        assert (await ws.say('"text"'))["data"]["code"] == "VALIDATION_ERROR"
        assert (await ws.say(b"\x00\xff"))["data"]["code"] == "INVALID_JSON"
        assert (await ws.say("[" * 100_000))["data"]["code"] == "INVALID_JSON"
        assert (await ws.step(text="alive"))["data"]["observation"]["text"] == "alive"


@requirement("compat:session-lives")
async def test_a_validator_that_raises_is_the_callers_fault_over_http() -> None:
    async with serving(create_app(recording(Journal()), Say, Said)) as served, httpx.AsyncClient() as http:
        answer = await http.post(f"{served.url}/step", json={"action": {"text": "forbidden"}})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["msg"] == "Value error, this word is not allowed"


@requirement("compat:values")
async def test_numpy_is_written() -> None:
    wanted = {"array": [0, 1, 2], "scalar": 1.5}
    async with serving(create_app(recording(Journal()), Say, Said)) as served, opened(served.url) as ws:
        assert (await ws.step(text="numpy"))["data"]["observation"]["value"] == wanted
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{served.url}/step", json={"action": {"text": "numpy"}})
        assert answer.json()["observation"]["value"] == wanted


@requirement("compat:reset-arguments")
async def test_a_reset_argument_that_is_left_out_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(create_app(recording(Journal()), Say, Said)) as served, opened(served.url) as ws:
        with caplog.at_level(logging.WARNING, "openenv_async.compat"):
            answer = await ws.reset(seed=1, colour="red")
        assert set(answer) == {"type", "data"}
        assert "reset() takes no 'colour'" in caplog.text and "'seed'" not in caplog.text


@requirement("compat:shared")
async def test_a_factory_that_shares_an_environment_works_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    one = recording(Journal())()
    app = create_app(lambda: one, Say, Said, max_concurrent_envs=3)
    with caplog.at_level(logging.WARNING, "openenv_async.compat"):
        async with serving(app) as served, opened(served.url) as a, opened(served.url) as b, opened(served.url) as c:
            for ws in (a, b, c):
                assert (await ws.step(text="x"))["type"] == "observation"
    assert [record.message for record in caplog.records if "to two sessions" in record.message].__len__() == 1


class StateMethod(Environment[Say, Said, State]):
    """Has `state` as a method, and a half of its own of everything else."""

    def reset(self) -> Said:  # type: ignore[override]
        return Said(text="ready")

    async def step(self, action: Say) -> Said:  # type: ignore[override]
        return Said(text=f"awaited {action.text}")

    def state(self) -> State:  # type: ignore[override]
        return State(episode_id="by a method")


@requirement("compat:lenient")
async def test_state_as_a_method_and_step_as_a_coroutine_work() -> None:
    async with serving(create_app(StateMethod, Say, Said)) as served, opened(served.url) as ws:
        assert (await ws.step(text="x"))["data"]["observation"]["text"] == "awaited x"
        assert (await ws.say({"type": "state"}))["data"]["episode_id"] == "by a method"


@requirement("compat:native")
async def test_our_own_client_plays_it_on_the_native_wire() -> None:
    journal = Journal()
    async with serving(create_app(recording(journal), Say, Said, max_concurrent_envs=8)) as served:

        class AsyncSay(AsyncEnv[Say, Said, State]):
            pass

        async with AsyncSay(base_url=served.url) as env, AsyncSay(base_url=served.url) as other:
            with pytest.warns(UserWarning, match="takes no 'colour'"):
                result = await env.reset(seed=1, colour="red")
            assert result.observation.text == "ready"
            await other.reset()
            stepped = await env.step(Say(text="numpy"))
            assert stepped.observation.value["array"].tolist() == [0, 1, 2]
            assert (await env.state()).step_count == 1
            with pytest.raises(InvalidPayload, match="not allowed"):
                await env.step({"text": "forbidden"})  # type: ignore[arg-type]
            assert (await other.step(Say(text="y"))).reward == 1
        await journal.until("close", 2)


@requirement("compat:native")
async def test_an_error_of_the_environment_keeps_its_type_on_the_native_wire() -> None:
    class Raises(StateMethod):
        async def step(self, action: Say) -> Said:  # type: ignore[override]
            raise LookupError("no such thing")

    async with serving(create_app(Raises, Say, Said)) as served, AsyncEnv(base_url=served.url) as env:
        await env.reset()
        with pytest.raises(EnvironmentFailed, match="no such thing") as caught:
            await env.step({"text": "x"})
        assert caught.value.exception_type == "LookupError"


@requirement("compat:queue-free")
async def test_plain_requests_take_no_slot_of_the_sessions() -> None:
    async with serving(create_app(recording(Journal()), Say, Said)) as served, opened(served.url) as ws:
        await ws.reset()
        async with httpx.AsyncClient(base_url=served.url) as http:
            assert (await http.post("/reset")).status_code == 200
            assert (await http.get("/state")).status_code == 200
        assert (await ws.step(text="x"))["type"] == "observation"


@requirement("compat:lenient")
async def test_an_mcp_socket_survives_what_is_no_object() -> None:
    async with serving(create_app(recording(Journal()), Say, Observation)) as served:
        async with opened(served.url, "/mcp") as ws:
            answer: dict[str, Any] = await ws.say([1])
            assert answer["error"]["code"] == -32600
            answer = await bounded(ws.say({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
            assert answer["error"]["message"] == "Environment does not support MCP"
