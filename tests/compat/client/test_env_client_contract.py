"""What trainers and subclasses rely on in OpenEnv's client: its constructor, its attributes, its hooks, its headers."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from requirements import requirement
from support.compat_server import Add, PlayClient, Total, World, world
from support.scripted_json_server import Peer, json_server, observation

from openenv_async.compat.client import env_client, utils
from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.env_client import EnvClient
from openenv_async.compat.client.generic_client import GenericAction, GenericEnvClient
from openenv_async.compat.client.mcp_client import MCPClientBase, MCPToolClient

CONSTRUCTOR = {
    "base_url": None,
    "connect_timeout_s": 10.0,
    "message_timeout_s": 60.0,
    "max_message_size_mb": 100.0,
    "websocket_ping_interval_s": 20.0,
    "websocket_ping_timeout_s": 20.0,
    "provider": None,
    "mode": None,
    "headers": None,
}
"""Names, order and defaults of 0.10.0; a test below asks the real one."""


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with world(max_concurrent_envs=16) as one:
        yield one


def parameters(function: Any) -> dict[str, Any]:
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}


@requirement("compat-client:constructor")
def test_the_constructor() -> None:
    assert parameters(GenericEnvClient) == CONSTRUCTOR
    assert {name: value for name, value in parameters(MCPToolClient).items() if name != "base_url"} == {
        name: value for name, value in CONSTRUCTOR.items() if name != "base_url"
    }
    positional = GenericEnvClient("http://h:1", 1.0, 2.0, 3.0, 4.0, 5.0, None, "production", {"a": "b"})
    assert (positional._connect_timeout, positional._message_timeout, positional._max_message_size) == (
        1.0,
        2.0,
        3 << 20,
    )
    assert (positional._websocket_ping_interval_s, positional._websocket_ping_timeout_s) == (4.0, 5.0)
    assert (positional._mode, positional._headers) == ("production", {"a": "b"})


@requirement("compat-client:constructor")
def test_older_names_are_taken(served: World) -> None:
    env = PlayClient(served.url, request_timeout_s=7.5, default_headers={"x-a": "1", "x-b": "1"}, headers={"x-b": "2"})
    assert env._message_timeout == 7.5
    assert env._headers == {"x-a": "1", "x-b": "2"}
    mcp = MCPToolClient(served.url, request_timeout_s=3.0, default_headers={"x-a": "1"})
    assert (mcp._message_timeout, mcp._headers) == (3.0, {"x-a": "1"})


@pytest.mark.parametrize(
    ("given", "base_url", "ws_url"),
    [
        ("http://localhost:8000", "http://localhost:8000", "ws://localhost:8000/ws"),
        ("https://org-name.hf.space/", "https://org-name.hf.space", "wss://org-name.hf.space/ws"),
        ("ws://h:1/prefix/", "ws://h:1/prefix", "ws://h:1/prefix/ws"),
        ("wss://h", "wss://h", "wss://h/ws"),
        ("localhost:8000", "localhost:8000", "ws://localhost:8000/ws"),
    ],
)
def test_addresses(given: str, base_url: str, ws_url: str) -> None:
    env = GenericEnvClient(given)
    assert (env.base_url, env._base_url, env._ws_url) == (base_url, base_url, ws_url)


async def test_an_address_without_a_scheme_is_played(served: World) -> None:
    async with GenericEnvClient(served.url.removeprefix("http://")) as env:
        assert (await env.reset()).observation["total"] == 0


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GenericEnvClient("h:1")._mode == "simulation"
    monkeypatch.setenv("OPENENV_CLIENT_MODE", "Production")
    assert GenericEnvClient("h:1")._mode == "production"
    assert GenericEnvClient("h:1", mode="SIMULATION")._mode == "simulation"
    monkeypatch.setenv("OPENENV_CLIENT_MODE", "other")
    with pytest.raises(ValueError, match="Invalid mode: 'other'. Must be 'simulation' or 'production'"):
        GenericEnvClient("h:1")
    with pytest.raises(ValueError, match="only supports 'production' mode"):
        MCPToolClient("h:1", mode="simulation")
    with pytest.raises(AttributeError, match="Cannot modify mode"):
        GenericEnvClient("h:1", mode="simulation")._mode = "production"


def test_the_base_class_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        EnvClient("http://h:1")  # type: ignore[abstract]
    with pytest.raises(ValueError, match="requires either base_url or provider"):
        GenericEnvClient()


async def test_hooks_get_and_give_what_openenvs_do(served: World) -> None:
    seen: list[Any] = []

    class Watching(PlayClient):
        def _step_payload(self, action: Add) -> dict[str, Any]:
            seen.append(action)
            return super()._step_payload(action)

        def _parse_result(self, payload: dict[str, Any]) -> StepResult[Total]:
            seen.append(payload)
            return super()._parse_result(payload)

        def _parse_state(self, payload: dict[str, Any]) -> dict[str, Any]:
            seen.append(payload)
            return payload

    async with Watching(served.url) as env:
        await env.reset(start=4, episode_id="e")
        await env.step(Add(1))
        await env.state()
    assert seen == [
        {"observation": {"total": 4, "value": None, "metadata": {}}, "reward": None, "done": False},
        Add(1),
        {"observation": {"total": 5, "value": None, "metadata": {}}, "reward": 1.0, "done": False},
        {"episode_id": "e", "step_count": 1, "total": 5},
    ]


async def test_the_parts_that_trainers_reach_for(served: World) -> None:
    """Seen in public trainers: a raw question, a socket's timeout, methods of the implementation overridden."""

    class Traced(PlayClient):
        asked: tuple[dict[str, Any], ...] = ()

        async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
            self.asked += (message,)
            return await super()._send_and_receive(message)

    async with Traced(served.url) as env:
        await env.reset(start=1)
        assert env._ws is not None
        env._ws.ping_timeout = 300
        answer = await env._send_and_receive({"type": "state"})
        assert (answer["type"], answer["data"]["total"]) == ("state", 1)
        assert (await env._step_async(Add(2))).observation == Total(3)
    assert [message["type"] for message in env.asked] == ["reset", "state", "step"]


async def test_a_connection_of_the_websockets_library_put_there_by_a_subclass(served: World) -> None:
    from websockets.asyncio.client import connect

    class Patient(PlayClient):
        async def connect(self) -> Any:
            if self._ws is None:
                assert self._ws_url is not None
                self._ws = await connect(self._ws_url, ping_interval=None, proxy=None)
            return self

    async with Patient(served.url) as env:
        socket = env._ws
        assert (await env.reset(start=1)).observation == Total(1)
        assert env._ws is socket
        await socket.close()
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            await env.step(Add(1))
        assert (await env.reset(start=2)).observation == Total(2)


@requirement("compat-client:headers")
async def test_headers_go_on_every_connection(served: World) -> None:
    served.door.seen.clear()
    env = PlayClient(served.url, headers={"Authorization": "Bearer secret", "x-name": "käse"})
    await env.reset()
    other = await env.new_session()
    await other.reset()
    assert env._ws is not None
    await env._ws.close()
    await env.reset()
    await env.close()
    came = [(headers.get("authorization"), headers.get("x-name")) for _, headers in served.door.seen]
    assert came == [("Bearer secret", "käse")] * 3


async def test_values_as_json_writes_them() -> None:
    got: list[Any] = []

    async def script(peer: Peer) -> None:
        while True:
            got.append(await peer.request())
            await peer.send(observation())

    class Model:
        def model_dump(self, **options: Any) -> dict[str, Any]:
            return {"mode": options.get("mode", "python")}

    @dataclasses.dataclass
    class Pair:
        a: int

    import numpy

    untyped: type[Any] = GenericEnvClient
    async with json_server(script) as url, untyped(url) as env:
        await env.reset(seed=None, options={"a": [1, 2.5]})
        await env.step({"array": numpy.arange(3), "model": Model(), "pair": Pair(1), "text": "Größe"}, timeout_s=9)
        await env.step(Model())
        await env.step(Pair(2))
        with pytest.raises(TypeError, match="not JSON serializable"):
            await env.step({"object": object()})
        await env.step(GenericAction(a=1))
    assert got == [
        {"type": "reset", "data": {"seed": None, "options": {"a": [1, 2.5]}}},
        {"type": "step", "data": {"array": [0, 1, 2], "model": {"mode": "json"}, "pair": {"a": 1}, "text": "Größe"}},
        {"type": "step", "data": {"mode": "python"}},
        {"type": "step", "data": {"a": 2}},
        {"type": "step", "data": {"a": 1}},
    ]


def test_small_things() -> None:
    assert repr(GenericAction(code="x=1", n=2)) == "GenericAction(code='x=1', n=2)"
    assert utils.hf_space_subdomain("OpenEnv/echo_env.v2") == "openenv-echo-env-v2"
    assert env_client.StepResult is StepResult
    assert [field.name for field in dataclasses.fields(StepResult)] == ["observation", "reward", "done", "metadata"]
    assert not hasattr(MCPClientBase, "call_tool")
    for url, local in [
        ("ws://LocalHost:1/ws", True),
        ("ws://127.5.5.5/ws", True),
        ("ws://127.0.0.1.example.com", False),
    ]:
        assert env_client._is_localhost_ws_url(url) is local


async def test_run_async_safely_inside_and_outside_a_loop() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    async def fail() -> None:
        raise KeyError("k")

    assert utils.run_async_safely(work()) == 5
    with pytest.raises(KeyError):
        utils.run_async_safely(fail())
    assert await asyncio.to_thread(lambda: utils.run_async_safely(work())) == 5
