"""An environment's tools, called by JSON-RPC besides its steps: `tools/list` and `tools/call`.

An environment has tools if it has an `mcp_client` or an `mcp_server`, or if its
actions are tool actions, which then go through `step()`. `call_adapter` runs this
where the environment lives; `routes` and `sessions` own the messages.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from pydantic import ValidationError

from openenv_async.compat.client.utils import run_async_safely
from openenv_async.compat.server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    JsonRpcErrorCode,
    JsonRpcRequest,
    JsonRpcResponse,
    ListToolsAction,
    ListToolsObservation,
    McpMethod,
)
from openenv_async.compat.server.serialization import jsonable
from openenv_async.protocol.error_mapping import safe_text

T = TypeVar("T")

_TOOL_ACTIONS = (CallToolAction, ListToolsAction)


class RpcFailed(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: JsonRpcErrorCode, message: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def read_request(fields: Any) -> JsonRpcRequest | JsonRpcResponse:
    """Read the fields of a request; for invalid fields return the answer that says so."""
    try:
        return JsonRpcRequest.model_validate(fields)
    except ValidationError as exc:
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INVALID_REQUEST, f"Invalid request: {exc}")


def has_server(env: Any) -> bool:
    """Return whether an environment has tools of its own, besides its actions."""
    return getattr(env, "mcp_client", None) is not None or getattr(env, "mcp_server", None) is not None


def answering(
    env: Any, request: JsonRpcRequest, action_cls: Any, step: Callable[[Any], Any]
) -> Callable[[], JsonRpcResponse | Awaitable[JsonRpcResponse]]:
    """Return the function that answers a request, to be called where the environment lives. It raises nothing.

    Args:
        env: the environment.
        request: the request.
        action_cls: the class of its actions.
        step: its step method, which may be a coroutine function.
    """
    if inspect.iscoroutinefunction(step) or has_server(env):

        async def answer_async() -> JsonRpcResponse:
            try:
                if has_server(env):
                    return _success(request, await _ask_server(env, request))
                return _success(request, _observed(request, await step(_action(request, action_cls))))
            except Exception as exc:  # anything that a tool raises is the answer
                return _failure(request, exc)

        return answer_async

    def answer() -> JsonRpcResponse:
        try:
            return _success(request, _observed(request, step(_action(request, action_cls))))
        except Exception as exc:  # as above
            return _failure(request, exc)

    return answer


def _success(request: JsonRpcRequest, result: Any) -> JsonRpcResponse:
    return JsonRpcResponse.success(result, request_id=request.id)


def _failure(request: JsonRpcRequest, exc: Exception) -> JsonRpcResponse:
    if isinstance(exc, RpcFailed):
        return JsonRpcResponse.error_response(exc.code, exc.message, request_id=request.id)
    return JsonRpcResponse.error_response(JsonRpcErrorCode.INTERNAL_ERROR, safe_text(exc), request_id=request.id)


def _tool_name(request: JsonRpcRequest) -> Any:
    """Return the name of the tool to call, None for a list of tools; raise for any other request."""
    if request.method == McpMethod.TOOLS_LIST:
        return None
    if request.method != McpMethod.TOOLS_CALL:
        raise RpcFailed(JsonRpcErrorCode.METHOD_NOT_FOUND, f"Method not found: {request.method}")
    name = request.params.get("name")
    if not name:
        raise RpcFailed(JsonRpcErrorCode.INVALID_PARAMS, "Missing 'name' in params")
    return name


def _action(request: JsonRpcRequest, action_cls: Any) -> Any:
    name = _tool_name(request)
    if action_cls not in _TOOL_ACTIONS:
        raise RpcFailed(JsonRpcErrorCode.INTERNAL_ERROR, "Environment does not support MCP")
    if name is None:
        return ListToolsAction()
    return CallToolAction(tool_name=name, arguments=request.params.get("arguments", {}))


def _observed(request: JsonRpcRequest, observation: Any) -> Any:
    wanted = ListToolsObservation if request.method == McpMethod.TOOLS_LIST else CallToolObservation
    if not isinstance(observation, wanted):
        got = type(observation).__name__
        text = f"MCP-style {request.method} step returned {got}, expected {wanted.__name__}"
        raise RpcFailed(JsonRpcErrorCode.INTERNAL_ERROR, text)
    if isinstance(observation, ListToolsObservation):
        return {"tools": [tool.model_dump() for tool in observation.tools]}
    return jsonable(observation)


async def _ask_server(env: Any, request: JsonRpcRequest) -> Any:
    name = _tool_name(request)
    client, arguments = getattr(env, "mcp_client", None), request.params.get("arguments", {})
    if not client:
        return await _ask_without_client(env.mcp_server, name, arguments)
    # Reentrant: a connection of this client that the session holds open is used.
    async with client:
        if name is None:
            return {"tools": [_listed(tool) for tool in await client.list_tools()]}
        return jsonable(await client.call_tool(name=name, arguments=arguments))


def _listed(tool: Any) -> Any:
    return tool.model_dump() if hasattr(tool, "model_dump") else dict(tool)


async def _ask_without_client(server: Any, name: Any, arguments: dict[str, Any]) -> Any:
    tools = await _tools_of(server)
    if name is None:
        return {
            "tools": [
                {"name": tool.name, "description": tool.description or "", "inputSchema": tool.parameters or {}}
                for tool in tools.values()
            ]
        }
    if name not in tools:
        raise RpcFailed(JsonRpcErrorCode.INVALID_PARAMS, f"Tool not found: {name}")
    function = tools[name].fn
    if inspect.iscoroutinefunction(function):
        return jsonable(await function(**arguments))
    return jsonable(await anyio.to_thread.run_sync(lambda: function(**arguments)))


async def _tools_of(server: Any) -> dict[str, Any]:
    # FastMCP 2 returns a dict of tools, FastMCP 3 a list.
    if hasattr(server, "get_tools"):
        found = await server.get_tools()
        if isinstance(found, dict):
            return found
    if hasattr(server, "list_tools"):
        return {tool.name: tool for tool in await server.list_tools()}
    return {}


def get_server_tools(mcp_server: Any) -> dict[str, Any]:
    """Return the tools of a FastMCP server by name, from code that does not await."""
    return run_async_safely(_tools_of(mcp_server))
