"""What tool environments answer, made into OpenEnv's models of it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from openenv_async.compat.server.mcp_types import CallToolObservation, ListToolsObservation, Tool, ToolError
from openenv_async.compat.server.types import Observation


class GenericMCPObservation(Observation):
    """What a tool environment gives that is neither a list of tools nor a tool's result."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, arbitrary_types_allowed=True)


def observation_of(payload: dict[str, Any]) -> Observation:
    """Make the observation of a step's answer: tools, a tool's result, or any other."""
    fields = payload.get("observation", {})
    common = {
        "done": payload.get("done", False),
        "reward": payload.get("reward"),
        "metadata": payload.get("metadata", fields.get("metadata", {})),
    }
    if "tools" in fields:
        return ListToolsObservation(tools=[tool_of(each) for each in fields["tools"]], **common)
    if "tool_name" in fields:
        error = ToolError(**fields["error"]) if fields.get("error") else None
        return CallToolObservation(tool_name=fields["tool_name"], result=fields.get("result"), error=error, **common)
    return GenericMCPObservation(**fields | common)


def tool_of(payload: dict[str, Any]) -> Tool:
    """Make a tool of its JSON form, OpenEnv's or MCP's."""
    schema = payload.get("input_schema", payload.get("inputSchema", {}))
    return Tool(name=payload.get("name", ""), description=payload.get("description", ""), input_schema=schema)


def value_of(result: Any) -> Any:
    """Take the value out of a tool's result, where that is FastMCP's envelope."""
    return result["data"] if isinstance(result, dict) and "data" in result else result


def result_of(answer: dict[str, Any], failed: str) -> Any:
    """Give a JSON-RPC answer's result.

    Raises:
        RuntimeError: it is an error.
    """
    if "error" in answer:
        raise RuntimeError(f"{failed}: {answer['error'].get('message', 'unknown error')}")
    return answer.get("result")
