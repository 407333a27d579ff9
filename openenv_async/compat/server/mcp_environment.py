"""`openenv.core.env_server.mcp_environment`: an environment whose actions are calls of FastMCP tools.

Needs the extra `mcp`. Listing and calling tools is answered here; every other action
goes to the author's `_step_impl`.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from mcp.types import TextContent

from openenv_async.compat.client.utils import run_async_safely
from openenv_async.compat.server.interfaces import Environment
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
from openenv_async.compat.server.tools import get_server_tools
from openenv_async.compat.server.types import Observation

_JSON_TYPES: dict[Any, str] = {
    int: "integer",
    "int": "integer",
    float: "number",
    "float": "number",
    bool: "boolean",
    "bool": "boolean",
}

Mode = str | None


class ModeTools:
    """Functions registered by an environment's `tool()`, by name and mode; those for every mode are FastMCP's too."""

    def __init__(self) -> None:
        self._functions: dict[str, dict[Mode, Callable[..., Any]]] = {}

    def add(self, function: Callable[..., Any], mode: Mode) -> None:
        """Register a function."""
        self._functions.setdefault(function.__name__, {})[mode] = function

    def knows(self, name: str) -> bool:
        """Return whether there is such a tool in any mode."""
        return name in self._functions

    def function(self, name: str, mode: Mode) -> Callable[..., Any] | None:
        """Return the function of a tool in a mode, None where the tool does not exist in that mode."""
        modes = self._functions[name]
        return modes.get(None) or modes.get(mode)

    def beside(self, found: dict[str, Callable[..., Any]], mode: Mode) -> dict[str, Callable[..., Any]]:
        """Return FastMCP's functions and these; a function for a single mode replaces FastMCP's."""
        together = dict(found)
        for name, modes in self._functions.items():
            if None in modes:
                together.setdefault(name, modes[None])
            elif mode in modes:
                together[name] = modes[mode]
        return together

    def replaces(self, name: str) -> bool:
        """Return whether a function for a single mode replaces FastMCP's tool of this name in lists."""
        return any(mode is not None for mode in self._functions.get(name, ()))

    def listed(self, mode: Mode) -> list[Tool]:
        """Describe the tools of one mode."""
        found = []
        for name, modes in self._functions.items():
            function = modes.get(mode)
            if mode is not None and function is not None:
                found.append(Tool(name=name, description=function.__doc__ or "", input_schema=_schema(function)))
        return found


def check_names(names: Iterable[str]) -> None:
    """Check the names of tools.

    Raises:
        ValueError: OpenEnv reserves one of them.
    """
    conflicts = sorted(RESERVED_TOOL_NAMES & set(names))
    if conflicts:
        reserved = sorted(RESERVED_TOOL_NAMES)
        raise ValueError(f"MCP tools cannot use reserved names: {conflicts}. Reserved names are: {reserved}")


def text_result(value: Any) -> CallToolResult:
    """Return a function's result in the form of FastMCP's tool results."""
    return CallToolResult(
        content=[TextContent(type="text", text=str(value))],
        structured_content={"result": value},
        meta=None,
        data=value,
        is_error=False,
    )


def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {
        "type": "object",
        "properties": {one.name: {"type": _json_type(one.annotation)} for one in parameters},
        "required": [one.name for one in parameters if one.default is inspect.Parameter.empty],
    }


def _json_type(annotation: Any) -> str:
    try:
        return _JSON_TYPES.get(annotation, "string")
    except TypeError:  # an annotation that has no hash
        return "string"


MCP_TOOL_CALL_TIMEOUT = 30.0
"""Seconds that a tool may take when the caller sets no limit."""

VALID_MODES = {"production", "simulation"}

__all__ = ["MCP_TOOL_CALL_TIMEOUT", "RESERVED_TOOL_NAMES", "VALID_MODES", "MCPEnvironment", "get_server_tools"]


class MCPEnvironment(Environment[Any, Any, Any]):
    """Base of environments with tools.

    Args:
        mcp_server: the FastMCP server that has the tools.
        transform: see `Environment`.

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
        """Hold a connection to the tools open; entering it again inside opens none.

        Raises:
            RuntimeError: the environment is closed.
        """
        client = _needed(self.mcp_client, "client")
        async with client:
            yield client

    @property
    def supports_code_mode(self) -> bool:
        """Whether `execute_code` works; always true."""
        return True

    def _get_server_tools(self, mcp_server: Any) -> dict[str, Any]:
        return get_server_tools(mcp_server)

    def get_callables(self) -> dict[str, Callable[..., Any]]:
        """Return the functions of the tools that exist in the current mode."""
        tools = self._get_server_tools(self.mcp_server)
        found = {name: tool.fn for name, tool in tools.items() if callable(getattr(tool, "fn", None))}
        return self._mode_tools.beside(found, self._current_mode)

    def execute_code(self, code: str) -> Observation:
        """Run Python code that may call the tools; its variable `result`, or the error, is in the metadata."""
        found: dict[str, Any] = {}
        try:
            exec(code, dict(self.get_callables()), found)
        except SyntaxError as exc:
            return Observation(reward=0.0, metadata={"error": f"Syntax error: {exc}"})
        except Exception as exc:
            return Observation(reward=0.0, metadata={"error": str(exc)})
        return Observation(reward=0.0, metadata={"result": found.get("result")})

    def tool(self, mode: str | None = None) -> Callable[[Callable[..., Any]], Any]:
        """Decorate a function as a tool, in one mode only if `mode` is set.

        Raises:
            ValueError: there is no such mode, or the name is reserved.
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
        if isinstance(action, ListToolsAction):
            return self._handle_list_tools()
        if isinstance(action, CallToolAction):
            return self._handle_call_tool(action, timeout_s=timeout_s)
        return self._step_impl(action, timeout_s=timeout_s, **kwargs)

    async def step_async(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        if isinstance(action, ListToolsAction):
            return await self._async_handle_list_tools()
        if isinstance(action, CallToolAction):
            return await self._async_handle_call_tool(action, timeout_s=timeout_s)
        return await asyncio.to_thread(self._step_impl, action, timeout_s=timeout_s, **kwargs)

    @abstractmethod
    def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Take a step with an action that is not a tool action."""

    def _handle_list_tools(self) -> ListToolsObservation:
        return run_async_safely(self._async_handle_list_tools())

    def _handle_call_tool(self, action: CallToolAction, timeout_s: float | None = None) -> CallToolObservation:
        return run_async_safely(self._async_handle_call_tool(action, timeout_s=timeout_s))

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
        """Release the tools; an override should call this."""
        self.mcp_client = None
        self.mcp_server = None


def _needed(value: Any, what: str) -> Any:
    if value is None:
        raise RuntimeError(f"MCP {what} is not available; environment is closed")
    return value


def _failed(name: str, kind: ToolErrorType, text: str) -> CallToolObservation:
    return CallToolObservation(tool_name=name, error=ToolError(error_type=kind, message=text))


def _kind_of(text: str) -> ToolErrorType:
    """Classify an error of a tool by its text, with OpenEnv's own words."""
    text = text.lower()
    if "not found" in text or "unknown tool" in text:
        return ToolErrorType.TOOL_NOT_FOUND
    if "invalid" in text or "argument" in text:
        return ToolErrorType.INVALID_ARGS
    return ToolErrorType.EXECUTION_ERROR
