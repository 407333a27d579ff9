"""Apps driven by Starlette's test client, which gives each request and each socket an event loop of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from fastmcp import FastMCP
from requirements import requirement
from starlette.testclient import TestClient
from support.compat_envs import Said, Say, recording
from support.servers import Journal

from openenv_async.compat.server.http_server import create_fastapi_app
from openenv_async.compat.server.mcp_environment import MCPEnvironment
from openenv_async.compat.server.types import Action, Observation, State
from openenv_async.compat.server.web_interface import create_web_interface_app


class Adds(MCPEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        mcp = FastMCP("adds")

        @mcp.tool
        def add(a: int, b: int) -> int:
            return a + b

        super().__init__(mcp)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        return Observation()

    def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        return Observation(reward=0.0)

    @property
    def state(self) -> State:
        return State()


@pytest.fixture
def client() -> Iterator[TestClient]:
    # Classes may be left out, as for an environment that only has tools.
    app = create_fastapi_app(env=Adds, action_cls=None, observation_cls=None)  # type: ignore[arg-type]
    yield TestClient(app)


def rpc(client: TestClient, method: str, **params: Any) -> dict[str, Any]:
    answer = client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def created(client: TestClient) -> str:
    name: str = rpc(client, "openenv/session/create")["result"]["session_id"]
    return name


@requirement("compat:loops")
def test_a_session_survives_the_request_that_made_it(client: TestClient) -> None:
    one = created(client)
    assert rpc(client, "tools/call", name="add", arguments={"a": 2, "b": 3}, session_id=one)["result"]["data"] == 5
    assert "at capacity" in rpc(client, "openenv/session/create")["error"]["message"]
    assert rpc(client, "openenv/session/close", session_id=one)["result"] == {"session_id": one, "closed": True}
    assert rpc(client, "tools/list", session_id=one)["error"]["code"] == -32602
    rpc(client, "openenv/session/close", session_id=created(client))


@requirement("compat:loops")
def test_a_socket_attaches_from_another_loop_and_the_session_outlives_it(client: TestClient) -> None:
    one = created(client)
    with client.websocket_connect(f"/ws?session_id={one}") as socket:
        socket.send_json({"type": "state"})
        assert socket.receive_json()["type"] == "state"
        with client.websocket_connect(f"/ws?session_id={one}") as second:
            assert "already has an attached WebSocket" in second.receive_json()["data"]["message"]
        socket.send_json({"type": "close"})
    with client.websocket_connect(f"/ws?session_id={one}") as socket:
        asked = rpc(client, "openenv/session/close", session_id=one)["result"]
        assert asked == {"session_id": one, "closed": False, "closing": True}
        socket.send_json({"type": "close"})
    assert rpc(client, "tools/list", session_id=one)["error"]["code"] == -32602


@requirement("compat:loops")
def test_a_sockets_own_session_is_asked_from_another_loop(client: TestClient) -> None:
    with client.websocket_connect("/ws") as socket:
        socket.send_json({"type": "mcp", "data": {"jsonrpc": "2.0", "id": 1, "method": "openenv/session/create"}})
        own = socket.receive_json()["data"]["result"]["session_id"]
        assert rpc(client, "tools/call", name="add", arguments={"a": 1, "b": 1}, session_id=own)["result"]["data"] == 2
        socket.send_json({"type": "close"})
    assert rpc(client, "tools/list", session_id=own)["error"]["code"] == -32602


@requirement("compat:loops")
def test_json_rpc_does_not_step(client: TestClient) -> None:
    with patch.object(MCPEnvironment, "step") as step, patch.object(MCPEnvironment, "step_async") as step_async:
        assert rpc(client, "tools/call", name="add", arguments={"a": 1, "b": 1})["result"]["data"] == 2
    step.assert_not_called()
    step_async.assert_not_called()


@requirement("compat:loops")
def test_one_thread_for_all_sessions_serves_every_loop() -> None:
    journal = Journal()
    client = TestClient(create_fastapi_app(recording(journal, REQUIRES_SINGLE_THREAD_EXECUTOR=True), Say, Said))
    for _ in range(3):
        assert client.post("/step", json={"action": {}}).status_code == 200
    assert journal.count("step") == journal.count("close") == 3
    assert journal.count("on another thread") == 0


@requirement("compat:loops")
def test_the_pages_environment_survives_its_requests() -> None:
    journal = Journal()
    app = create_web_interface_app(recording(journal), Say, Said)
    client = TestClient(app)
    assert client.get("/", follow_redirects=False).headers["location"] == "/web/"
    assert client.post("/web/reset").json()["observation"]["text"] == "ready"
    assert client.post("/web/step", json={"action": {"text": "x"}}).json()["reward"] == 1
    assert client.get("/web/state").json()["step_count"] == 1
    assert "Reset" in client.get("/web/").text
    assert journal.count("built") == 1
    with TestClient(app) as client:
        assert client.post("/web/reset").status_code == 200
    assert journal.count("close") == 1


def test_tool_environments_answer_without_a_server() -> None:
    observation = Adds().step(Action())
    assert observation.reward == 0.0


@requirement("compat:parity")
def test_routes_of_the_authors_own_come_before_the_operators() -> None:
    app = create_fastapi_app(Adds, Action, Observation)
    assert "/sessions" not in {getattr(route, "path", None) for route in app.routes}

    @app.get("/sessions")
    def sessions() -> str:
        return "mine"

    with TestClient(app) as client:
        assert client.get("/sessions").json() == "mine"
    with TestClient(create_fastapi_app(Adds, Action, Observation)) as client:
        assert client.get("/sessions").json() != "mine"
