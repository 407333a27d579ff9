"""The tools of an `MCPEnvironment` that its own `tool()` registered, by mode, and their descriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from fastmcp.client.client import CallToolResult
from mcp.types import TextContent

from openenv_async.compat.server.mcp_types import RESERVED_TOOL_NAMES, Tool

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
    """Functions by name and mode; under the mode None are those for every mode, which FastMCP has too."""

    def __init__(self) -> None:
        self._functions: dict[str, dict[Mode, Callable[..., Any]]] = {}

    def add(self, function: Callable[..., Any], mode: Mode) -> None:
        """Register one."""
        self._functions.setdefault(function.__name__, {})[mode] = function

    def knows(self, name: str) -> bool:
        """Whether there is such a tool in any mode."""
        return name in self._functions

    def function(self, name: str, mode: Mode) -> Callable[..., Any] | None:
        """Give what is behind a tool in a mode, None where it does not exist in that one."""
        modes = self._functions[name]
        return modes.get(None) or modes.get(mode)

    def beside(self, found: dict[str, Callable[..., Any]], mode: Mode) -> dict[str, Callable[..., Any]]:
        """Give FastMCP's functions with those of here: one of a single mode takes the place of FastMCP's."""
        together = dict(found)
        for name, modes in self._functions.items():
            if None in modes:
                together.setdefault(name, modes[None])
            elif mode in modes:
                together[name] = modes[mode]
        return together

    def replaces(self, name: str) -> bool:
        """Whether FastMCP's tool of this name is listed from here, where there is one for some mode."""
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
    """Refuse the names that are OpenEnv's own.

    Raises:
        ValueError: one of them is.
    """
    conflicts = sorted(RESERVED_TOOL_NAMES & set(names))
    if conflicts:
        reserved = sorted(RESERVED_TOOL_NAMES)
        raise ValueError(f"MCP tools cannot use reserved names: {conflicts}. Reserved names are: {reserved}")


def text_result(value: Any) -> CallToolResult:
    """Give what a function returned as FastMCP gives a tool's result."""
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
