"""`MCPToolClient`: tools over HTTP in the session that its WebSocket plays, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.compat_server import World, world
from support.servers import bounded
from support.tools_server import Tools

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.mcp_client import GenericMCPObservation, MCPToolClient
from openenv_async.compat.server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    Tool,
)


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def served(tools: Tools) -> Iterator[World]:
    with world(app=tools.app) as one:
        yield one


@requirement("compat-client:tools")
async def test_tools_are_called_in_the_session_that_is_played(served: World, tools: Tools) -> None:
    async with MCPToolClient(served.url) as env:
        result = await env.reset()
        assert isinstance(result.observation, GenericMCPObservation)
        assert (result.observation.extra, result.observation.metadata) == (5, {"begun": True})  # type: ignore[attr-defined]
        assert await env.call_tool("write", text="one") == 1
        assert await env.call_tool("write", text="two") == 2
        assert await env.call_tool("read") == "two"
        state = await env.state()
        assert (state.episode_id, state.step_count) == ("e", 2)
        with pytest.raises(RuntimeError, match="^Tool 'burn' failed: no such tool$"):
            await env.call_tool("burn")
    assert tools.sessions == {}
    assert (tools.made, tools.asked[0], tools.asked[-1]) == (1, "openenv/session/create", "openenv/session/close")


def test_in_sync_code_with_and_without_the_front(served: World, tools: Tools) -> None:
    env = MCPToolClient(served.url)
    assert [tool.name for tool in env.list_tools()] == ["write", "read"]
    assert env.call_tool("write", text="one") == 1
    assert env.has_tool("read") and not env.has_tool("burn")
    env.close()
    with MCPToolClient(served.url).sync() as front:
        assert front.get_tool("write").description == "Write a note."
        assert front.get_tool("burn") is None
    assert tools.sessions == {}


async def test_the_sync_front_inside_a_loop(served: World) -> None:
    with MCPToolClient(served.url).sync() as front:
        assert [tool.name for tool in front.list_tools()] == ["write", "read"]


@requirement("compat-client:tools")
async def test_tools_are_asked_for_once(served: World, tools: Tools) -> None:
    async with MCPToolClient(served.url) as env:
        first = await env.list_tools()
        assert await env.list_tools() is first
        assert (first[0].input_schema, first[1].input_schema) == ({"type": "object"}, {"type": "object"})
        assert await env.list_tools(use_cache=False) is not first
    assert tools.asked.count("tools/list") == 2


@requirement("compat-client:tools")
async def test_an_unreachable_server_has_no_tools(caplog: pytest.LogCaptureFixture) -> None:
    env = MCPToolClient("http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        assert await env.list_tools() == []
    assert "no tools could be listed at http://127.0.0.1:9" in caplog.text
    assert env._tools_cache is None
    with pytest.raises(ConnectionError, match="Failed to connect to http://127.0.0.1:9/mcp"):
        await env.call_tool("write")
    with pytest.raises(ConnectionError):
        await env.reset()
    await env.close()


async def test_a_server_without_mcp() -> None:
    with world() as served:
        env = MCPToolClient(served.url)
        with pytest.raises(ConnectionError, match="HTTP 404"):
            await env.reset()
        assert await env.list_tools() == []
        await env.close()


async def test_steps_with_tools(served: World) -> None:
    async with MCPToolClient(served.url) as env:
        await env.reset()
        listed = await env.step(ListToolsAction())
        assert [tool.name for tool in listed.observation.tools] == ["write", "read"]
        called = await env.step(CallToolAction(tool_name="read", arguments={"a": 1}))
        assert isinstance(called.observation, CallToolObservation)
        assert (called.observation.result, called.reward, called.observation.reward) == ({"a": 1}, 1, 1)
        failed = await env.step(CallToolAction(tool_name="burn"))
        assert failed.observation.error.message == "none"
        for action, sent in [({"any": "dict"}, {"any": "dict"}), ("text", {"action": "text"})]:
            assert (await env.step(action)).observation.got == sent


@requirement("compat-client:headers")
async def test_headers_go_on_every_request_too(served: World) -> None:
    async with MCPToolClient(served.url, headers={"Authorization": "Bearer secret"}) as env:
        await env.list_tools()
        await env.reset()
    assert {path.partition("?")[0] for path, _ in served.door.seen} == {"/mcp", "/ws"}
    assert {headers.get("authorization") for _, headers in served.door.seen} == {"Bearer secret"}


async def test_the_session_outlives_its_connection(served: World, tools: Tools) -> None:
    async with MCPToolClient(served.url) as env:
        await env.reset()
        await env.call_tool("write", text="one")
        assert env._ws is not None
        await env._ws.close()
        assert (await env.state()).step_count == 1
        assert tools.made == 1


async def test_a_session_that_the_server_does_not_know_any_longer(served: World, tools: Tools) -> None:
    async with MCPToolClient(served.url) as env:
        await env.reset()
        tools.sessions.clear()
        assert env._ws is not None
        await env._ws.close()
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            await env.state()
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            await env.step({})
        await env.reset()
        assert tools.made == 2


async def test_a_session_that_ended_before_a_reset(served: World, tools: Tools) -> None:
    async with MCPToolClient(served.url) as env:
        await env.reset()
        tools.sessions.clear()
        assert env._ws is not None
        await env._ws.close()
        await bounded(env.reset())
        assert tools.made == 2


async def test_many_at_once_make_one_session(served: World, tools: Tools) -> None:
    env = MCPToolClient(served.url)
    await asyncio.gather(env.connect(), env.list_tools(), env.call_tool("write", text="a"), env.reset())
    assert tools.made == 1
    await env.close()
    assert tools.sessions == {}


async def test_without_production_mode_tools_are_steps(served: World, tools: Tools) -> None:
    class Stepping(MCPToolClient):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.use_production_mode = False
            assert self._ws_url is not None
            self._ws_url += "?session_id=own"

    tools.sessions["own"] = []
    async with Stepping(served.url) as env:
        await env.reset()
        assert [tool.name for tool in await env.list_tools()] == ["write", "read"]
        assert await env.call_tool("read", a=1) == {"a": 1}
        with pytest.raises(RuntimeError, match=r"Tool 'burn' failed: none \(type: tool_not_found\)"):
            await env.call_tool("burn")
    assert tools.asked == []


@pytest.mark.parametrize(
    ("base_url", "mcp"),
    [
        ("http://here:8000", "http://here:8000/mcp"),
        ("https://here/env/", "https://here/env/mcp"),
        ("ws://here", "http://here/mcp"),
        ("wss://here/env", "https://here/env/mcp"),
    ],
)
def test_the_address_of_mcp(base_url: str, mcp: str) -> None:
    assert MCPToolClient(base_url=base_url)._production_mcp_url() == mcp


async def test_a_client_made_without_its_constructor_plays_the_step_that_it_is_given() -> None:
    client = MCPToolClient.__new__(MCPToolClient)
    seen: list[Any] = []

    async def step(action: Any) -> StepResult[Any]:
        seen.append(action)
        if isinstance(action, ListToolsAction):
            return StepResult(ListToolsObservation(tools=[Tool(name="add", description="", input_schema={})]))
        return StepResult(CallToolObservation(tool_name=action.tool_name, result=8))

    client.step = step  # type: ignore[assignment, method-assign]
    assert await client.call_tool("add", a=5, b=3) == 8
    assert (seen[0].tool_name, seen[0].arguments) == ("add", {"a": 5, "b": 3})
    assert await client.has_tool("add") and not await client.has_tool("sub")
    assert len(seen) == 2, "the tools that were listed are kept"


async def test_a_lent_http_client_is_used_and_closed(served: World) -> None:
    client = MCPToolClient(served.url)
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(request.url.path)

    lent = client._http_client = httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]})
    assert {tool.name for tool in await client.list_tools()} >= {"write", "read"}
    await client.close()
    assert asked == ["/mcp", "/mcp", "/mcp"]
    assert lent.is_closed and client._http_client is None and client._production_session_id is None
