"""`openenv.core.env_server.mcp_environment`: an environment whose actions are calls of FastMCP tools.

Needs the extra `mcp`. Listing and calling tools is answered here; every other
action goes to the author's `_step_impl`. `mcp_tools` keeps the tools that exist in
one mode only.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import Client

from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.mcp_tools import ModeTools, check_names, text_result
from openenv_async.compat.server.mcp_types import (
    RESERVED_TOOL_NAMES,
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    Tool,
    ToolError,
    ToolErrorType,
)
from openenv_async.compat.server.models import Observation
from openenv_async.compat.server.tools import get_server_tools, run_blocking

MCP_TOOL_CALL_TIMEOUT = 30.0
"""Seconds that a tool may take when nobody says."""

VALID_MODES = {"production", "simulation"}

__all__ = ["MCP_TOOL_CALL_TIMEOUT", "RESERVED_TOOL_NAMES", "VALID_MODES", "MCPEnvironment", "get_server_tools"]


class MCPEnvironment(Environment[Any, Any, Any]):
    """Base of environments with tools.

    Args:
        mcp_server: the FastMCP server that has the tools.
        transform: as of `Environment`.

    Raises:
        ValueError: a tool has one of the reserved names.
    """

    def __init__(self, mcp_server: Any, transform: Any = None) -> None:
        super().__init__(transform=transform)
        check_names(self._get_server_tools(mcp_server))
        self.mcp_server = mcp_server
        self.mcp_client: Any = Client(mcp_server)
        self._mode_tools = ModeTools()

    @asynccontextmanager
    async def mcp_session(self) -> AsyncIterator[Any]:
        """Hold a connection to the tools open; entering it again inside costs nothing.

        Raises:
            RuntimeError: the environment is closed.
        """
        client = _needed(self.mcp_client, "client")
        async with client:
            yield client

    @property
    def supports_code_mode(self) -> bool:
        """Whether `execute_code` works: it does."""
        return True

    def _get_server_tools(self, mcp_server: Any) -> dict[str, Any]:
        return get_server_tools(mcp_server)

    def get_callables(self) -> dict[str, Callable[..., Any]]:
        """Give the functions behind the tools that exist in the current mode."""
        tools = self._get_server_tools(self.mcp_server)
        found = {name: tool.fn for name, tool in tools.items() if callable(getattr(tool, "fn", None))}
        return self._mode_tools.beside(found, self._current_mode)

    def execute_code(self, code: str) -> Observation:
        """Run Python code that may call the tools; gives its variable `result`, or the error, in the metadata."""
        found: dict[str, Any] = {}
        try:
            exec(code, dict(self.get_callables()), found)
        except SyntaxError as exc:
            return Observation(reward=0.0, metadata={"error": f"Syntax error: {exc}"})
        except Exception as exc:
            return Observation(reward=0.0, metadata={"error": str(exc)})
        return Observation(reward=0.0, metadata={"result": found.get("result")})

    def tool(self, mode: str | None = None) -> Callable[[Callable[..., Any]], Any]:
        """Decorate a function that is a tool, in one mode only if that is named.

        Raises:
            ValueError: no such mode, or a reserved name.
        """
        if mode is not None and mode not in VALID_MODES:
            raise ValueError(f"Invalid mode '{mode}'. Mode must be 'production', 'simulation', or None.")

        def decorate(function: Callable[..., Any]) -> Any:
            check_names([function.__name__])
            self._mode_tools.add(function, mode)
            return _needed(self.mcp_server, "server").tool()(function) if mode is None else function

        return decorate

    @property
    def _current_mode(self) -> str | None:
        return getattr(self, "_mode", None)

    def step(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Take one step, from code that does not await; see `step_async`."""
        if isinstance(action, ListToolsAction):
            return self._handle_list_tools()
        if isinstance(action, CallToolAction):
            return self._handle_call_tool(action, timeout_s=timeout_s)
        return self._step_impl(action, timeout_s=timeout_s, **kwargs)

    async def step_async(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Take one step: list the tools, call one, or what `_step_impl` does, in a thread."""
        if isinstance(action, ListToolsAction):
            return await self._async_handle_list_tools()
        if isinstance(action, CallToolAction):
            return await self._async_handle_call_tool(action, timeout_s=timeout_s)
        return await asyncio.to_thread(self._step_impl, action, timeout_s=timeout_s, **kwargs)

    @abstractmethod
    def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Take a step with an action that is no tool's."""

    def _handle_list_tools(self) -> ListToolsObservation:
        return run_blocking(self._async_handle_list_tools())

    def _handle_call_tool(self, action: CallToolAction, timeout_s: float | None = None) -> CallToolObservation:
        return run_blocking(self._async_handle_call_tool(action, timeout_s=timeout_s))

    async def _async_list_tools(self) -> list[Any]:
        async with self.mcp_session() as client:
            tools: list[Any] = await client.list_tools()
            return tools

    async def _async_call_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        async with self.mcp_session() as client:
            return await client.call_tool(tool_name, arguments)

    async def _async_handle_list_tools(self) -> ListToolsObservation:
        try:
            listed = [
                Tool(name=tool.name, description=tool.description or "", input_schema=getattr(tool, "inputSchema", {}))
                for tool in await self._async_list_tools()
                if not self._mode_tools.replaces(tool.name)
            ]
            return ListToolsObservation(tools=[*listed, *self._mode_tools.listed(self._current_mode)])
        except Exception as exc:
            return ListToolsObservation(tools=[], metadata={"error": str(exc), "error_type": "list_tools_failed"})

    async def _async_handle_call_tool(
        self, action: CallToolAction, timeout_s: float | None = None
    ) -> CallToolObservation:
        name = action.tool_name
        if self._mode_tools.knows(name):
            return await self._call_own(name, action.arguments)
        limit_s = MCP_TOOL_CALL_TIMEOUT if timeout_s is None else timeout_s
        try:
            result = await asyncio.wait_for(self._async_call_tool(name, action.arguments), limit_s)
        except TimeoutError:
            return _failed(name, ToolErrorType.TIMEOUT, f"Tool '{name}' timed out after {limit_s} seconds")
        except Exception as exc:
            return _failed(name, _kind_of(str(exc)), str(exc))
        return CallToolObservation(tool_name=name, result=result)

    async def _call_own(self, name: str, arguments: dict[str, Any]) -> CallToolObservation:
        function = self._mode_tools.function(name, self._current_mode)
        if function is None:
            text = f"Tool '{name}' not available in {self._current_mode} mode"
            return _failed(name, ToolErrorType.TOOL_NOT_FOUND, text)
        try:
            value = function(**arguments)
            value = await value if inspect.iscoroutinefunction(function) else value
        except Exception as exc:
            return _failed(name, ToolErrorType.EXECUTION_ERROR, str(exc))
        return CallToolObservation(tool_name=name, result=text_result(value))

    def close(self) -> None:
        """Let go of the tools; one that is overridden should call this."""
        self.mcp_client = None
        self.mcp_server = None


def _needed(value: Any, what: str) -> Any:
    if value is None:
        raise RuntimeError(f"MCP {what} is not available; environment is closed")
    return value


def _failed(name: str, kind: ToolErrorType, text: str) -> CallToolObservation:
    return CallToolObservation(tool_name=name, error=ToolError(error_type=kind, message=text))


def _kind_of(text: str) -> ToolErrorType:
    """Guess from its text what kind of error a tool raised, by the words that OpenEnv goes by."""
    text = text.lower()
    if "not found" in text or "unknown tool" in text:
        return ToolErrorType.TOOL_NOT_FOUND
    if "invalid" in text or "argument" in text:
        return ToolErrorType.INVALID_ARGS
    return ToolErrorType.EXECUTION_ERROR
