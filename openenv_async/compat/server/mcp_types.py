"""`openenv.core.env_server.mcp_types`: tools as actions and observations, and JSON-RPC 2.0 as `/mcp` speaks it.

The docstrings of actions and observations and the descriptions of their fields are
part of the wire format: `/schema` answers with them.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from openenv_async.compat.server.types import Action, BaseMessage, Observation


class JsonRpcErrorCode(int, Enum):
    """The error codes of JSON-RPC 2.0, and one for server errors."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    SERVER_ERROR = -32000


_TEXTS = {
    JsonRpcErrorCode.PARSE_ERROR: "Parse error",
    JsonRpcErrorCode.INVALID_REQUEST: "Invalid Request",
    JsonRpcErrorCode.METHOD_NOT_FOUND: "Method not found",
    JsonRpcErrorCode.INVALID_PARAMS: "Invalid params",
    JsonRpcErrorCode.INTERNAL_ERROR: "Internal error",
    JsonRpcErrorCode.SERVER_ERROR: "Server error",
}


class McpMethod(str, Enum):  # noqa: UP042 - `str(method)` is what it is on 0.10.0
    """The methods of MCP that are answered."""

    TOOLS_LIST = "tools/list"
    TOOLS_CALL = "tools/call"


class _JsonRpcObject(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JsonRpcError(_JsonRpcObject):
    """The error in an answer."""

    code: int
    message: str
    data: Any | None = None

    @classmethod
    def from_code(cls, code: JsonRpcErrorCode, message: str | None = None, data: Any = None) -> JsonRpcError:
        """Build an error with the standard's text, or another."""
        return cls(code=code.value, message=message or _TEXTS.get(code, "Unknown error"), data=data)


class JsonRpcRequest(_JsonRpcObject):
    """One request."""

    jsonrpc: Literal["2.0"]
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    id: str | int | None = None


class JsonRpcResponse(_JsonRpcObject):
    """The answer to one request: a result, or an error."""

    jsonrpc: Literal["2.0"] = "2.0"
    result: Any | None = None
    error: JsonRpcError | None = None
    id: str | int | None = None

    def model_dump(self, **kwargs: Any) -> dict[str, Any]:
        # Either the error or the result is sent, never both.
        data: dict[str, Any] = {"jsonrpc": self.jsonrpc, "id": self.id}
        if self.error is not None:
            data["error"] = self.error.model_dump()
        else:
            data["result"] = self.result
        return data

    def model_dump_json(self, **kwargs: Any) -> str:
        return json.dumps(self.model_dump())

    @classmethod
    def success(cls, result: Any, request_id: str | int | None = None) -> JsonRpcResponse:
        """Build the answer with a result."""
        return cls(result=result, id=request_id)

    @classmethod
    def error_response(
        cls,
        code: JsonRpcErrorCode,
        message: str | None = None,
        data: Any = None,
        request_id: str | int | None = None,
    ) -> JsonRpcResponse:
        """Build the answer with an error."""
        return cls(error=JsonRpcError.from_code(code, message, data), id=request_id)


RESERVED_TOOL_NAMES = frozenset(["reset", "step", "state", "close"])
"""Names that a tool may not have."""


class Tool(BaseModel):
    """Strongly typed MCP tool specification.

    Follows the MCP ToolSpec format for tool discovery.
    See: https://modelcontextprotocol.io/specification/2025-06-18/server/tools
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Unique identifier for the tool")
    description: str = Field(description="Human-readable description of what the tool does")
    input_schema: dict[str, Any] = Field(description="JSON Schema for the tool's input parameters")


class ToolErrorType(str, Enum):  # noqa: UP042 - `str(kind)` is what it is on 0.10.0
    """Types of errors that can occur during tool execution."""

    EXECUTION_ERROR = "execution_error"
    INVALID_ARGS = "invalid_args"
    TRANSPORT_ERROR = "transport_error"
    TOOL_NOT_FOUND = "tool_not_found"
    TIMEOUT = "timeout"


class ToolError(BaseModel):
    """Structured error for tool execution failures.

    This is used for transport/framework errors, NOT for errors returned
    by the tool itself (those go in the result field).
    """

    model_config = ConfigDict(extra="forbid")

    error_type: ToolErrorType = Field(description="Category of the error")
    message: str = Field(description="Human-readable error message")


class ListToolsAction(Action):
    """Request list of available tools from the environment.

    This action triggers MCP's tools/list operation and returns
    all available tools with their schemas. Does NOT require reset()
    to be called first.
    """

    type: Literal["list_tools"] = Field(default="list_tools", description="Action type discriminator")


class CallToolAction(Action):
    """Call a specific tool via MCP.

    This action triggers MCP's tools/call operation with the
    specified tool name and arguments.
    """

    type: Literal["call_tool"] = Field(default="call_tool", description="Action type discriminator")
    tool_name: str = Field(description="Name of the tool to call")
    arguments: dict[str, Any] = Field(default_factory=dict, description="Arguments to pass to the tool")


class ListToolsObservation(Observation):
    """Response containing available tools.

    Returned when processing a ListToolsAction.
    """

    tools: list[Tool] = Field(description="List of available tools with their schemas")


class CallToolObservation(Observation):
    """Response from tool execution.

    Contains the tool's result or an error if the call failed.
    Tool-specific errors (from the tool itself) are included in the result.
    Transport/framework errors use the error field.
    """

    tool_name: str = Field(description="Name of the tool that was called")
    result: Any = Field(default=None, description="Tool-specific result (may include tool errors)")
    error: ToolError | None = Field(default=None, description="Transport/framework error if call failed")


class WSMCPMessage(BaseMessage):
    """A JSON-RPC request on `/ws`."""

    type: Literal["mcp"] = "mcp"
    data: dict[str, Any]


class WSMCPResponse(BaseModel):
    """The answer to a `WSMCPMessage`."""

    model_config = ConfigDict(extra="forbid")

    type: str = "mcp"
    data: dict[str, Any]
