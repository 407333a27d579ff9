"""`MCPEnvironment` without a server: tools by mode, reserved names, tools called by code."""

from __future__ import annotations

from typing import Any

import pytest
from fastmcp import FastMCP
from requirements import requirement

from openenv_async.compat.server.mcp_environment import MCPEnvironment
from openenv_async.compat.server.mcp_types import CallToolAction, ListToolsAction
from openenv_async.compat.server.types import Observation, State


class Moded(MCPEnvironment):
    _mode: str | None = None

    def __init__(self, mcp: FastMCP) -> None:
        super().__init__(mcp)

        @mcp.tool
        def shared(n: int) -> int:
            return n

        @self.tool()
        def everywhere(n: int) -> int:
            return n + 1

        @self.tool(mode="production")
        def search(query: str) -> str:
            """Search for real."""
            return f"real {query}"

        @self.tool(mode="simulation")  # type: ignore[no-redef]
        def search(query: str) -> str:  # noqa: F811
            """Search a copy."""
            return f"copy {query}"

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        return Observation()

    def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        return Observation(metadata={"own": True})

    @property
    def state(self) -> State:
        return State()


def called(env: Moded, name: str, **arguments: Any) -> Any:
    observation = env.step(CallToolAction(tool_name=name, arguments=arguments))
    return observation.error.message if observation.error else observation.result.data


@requirement("compat:tools")
@pytest.mark.parametrize(("mode", "prefix"), [("production", "real"), ("simulation", "copy")])
def test_a_tool_of_one_mode_exists_in_that_one(mode: str, prefix: str) -> None:
    env = Moded(FastMCP("moded"))
    assert {tool.name for tool in env.step(ListToolsAction()).tools} == {"shared", "everywhere"}
    assert called(env, "search", query="x") == "Tool 'search' not available in None mode"
    env._mode = mode
    assert {tool.name for tool in env.step(ListToolsAction()).tools} == {"shared", "everywhere", "search"}
    assert called(env, "search", query="x") == f"{prefix} x"
    assert called(env, "everywhere", n=1) == 2
    assert env.get_callables()["search"]("y") == f"{prefix} y"
    assert set(env.get_callables()) == {"shared", "everywhere", "search"}


@requirement("compat:tools")
def test_code_calls_tools_as_functions() -> None:
    env = Moded(FastMCP("moded"))
    assert env.supports_code_mode
    assert env.execute_code("result = shared(2) + everywhere(3)").metadata == {"result": 6}
    assert env.execute_code("result = nobody()").metadata == {"error": "name 'nobody' is not defined"}
    assert env.execute_code("result =").metadata["error"].startswith("Syntax error: ")


@requirement("compat:tools")
def test_reserved_names_are_refused() -> None:
    mcp = FastMCP("reserved")

    @mcp.tool
    def step() -> str:
        return "no"

    with pytest.raises(ValueError, match="reserved names: \\['step'\\]"):
        Moded(mcp)
    env = Moded(FastMCP("fine"))
    with pytest.raises(ValueError, match="reserved"):

        @env.tool()
        def reset() -> str:
            return "no"

    with pytest.raises(ValueError, match="Invalid mode 'fast'"):
        env.tool(mode="fast")


@requirement("compat:tools")
def test_a_closed_environment_says_so() -> None:
    env = Moded(FastMCP("closed"))
    env.close()
    assert env.step(ListToolsAction()).metadata["error"] == "MCP client is not available; environment is closed"
    with pytest.raises(RuntimeError, match="MCP server is not available"):
        env.tool()(lambda: None)
