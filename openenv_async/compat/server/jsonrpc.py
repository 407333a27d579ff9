"""JSON-RPC 2.0 as `/mcp` speaks it: requests, responses and error codes."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class JsonRpcErrorCode(int, Enum):
    """The error codes of JSON-RPC 2.0, and one of the server's."""

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


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JsonRpcError(_Object):
    """What went wrong with a request."""

    code: int
    message: str
    data: Any | None = None

    @classmethod
    def from_code(cls, code: JsonRpcErrorCode, message: str | None = None, data: Any = None) -> JsonRpcError:
        """Make one with the standard's text, or another."""
        return cls(code=code.value, message=message or _TEXTS.get(code, "Unknown error"), data=data)


class JsonRpcRequest(_Object):
    """One request."""

    jsonrpc: Literal["2.0"]
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    id: str | int | None = None


class JsonRpcResponse(_Object):
    """The answer to one request: a result, or an error."""

    jsonrpc: Literal["2.0"] = "2.0"
    result: Any | None = None
    error: JsonRpcError | None = None
    id: str | int | None = None

    def model_dump(self, **kwargs: Any) -> dict[str, Any]:
        """Give the object as it travels: with the error or with the result, never both."""
        data: dict[str, Any] = {"jsonrpc": self.jsonrpc, "id": self.id}
        if self.error is not None:
            data["error"] = self.error.model_dump()
        else:
            data["result"] = self.result
        return data

    def model_dump_json(self, **kwargs: Any) -> str:
        """Give `model_dump()` as text.

        Raises:
            TypeError: the result is no JSON.
        """
        return json.dumps(self.model_dump())

    @classmethod
    def success(cls, result: Any, request_id: str | int | None = None) -> JsonRpcResponse:
        """Make the answer of what went well."""
        return cls(result=result, id=request_id)

    @classmethod
    def error_response(
        cls,
        code: JsonRpcErrorCode,
        message: str | None = None,
        data: Any = None,
        request_id: str | int | None = None,
    ) -> JsonRpcResponse:
        """Make the answer of what went wrong."""
        return cls(error=JsonRpcError.from_code(code, message, data), id=request_id)
