"""Tools of an environment, asked by JSON-RPC beside its steps: `tools/list` and `tools/call`.

An environment has tools if it has an `mcp_client` or an `mcp_server`, or if its
actions are tool actions, which then go through `step()`. `call_adapter` runs this
where the environment lives; `mcp_routes` and `sessions` own the messages around it.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import anyio
from pydantic import ValidationError

from openenv_async.compat.server.jsonable import plain
from openenv_async.compat.server.jsonrpc import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse, McpMethod
from openenv_async.compat.server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
)
from openenv_async.protocol.error_mapping import safe_text

T = TypeVar("T")

_TOOL_ACTIONS = (CallToolAction, ListToolsAction)


class RpcFailed(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: JsonRpcErrorCode, message: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def read_request(fields: Any) -> JsonRpcRequest | JsonRpcResponse:
    """Read a request's fields; what is wrong with them is the answer."""
    try:
        return JsonRpcRequest.model_validate(fields)
    except ValidationError as exc:
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INVALID_REQUEST, f"Invalid request: {exc}")


def has_server(env: Any) -> bool:
    """Say whether an environment has tools of its own, beside its actions."""
    return getattr(env, "mcp_client", None) is not None or getattr(env, "mcp_server", None) is not None


def answering(
    env: Any, request: JsonRpcRequest, action_cls: Any, step: Callable[[Any], Any]
) -> Callable[[], JsonRpcResponse | Awaitable[JsonRpcResponse]]:
    """Give what answers a request, to be called where the environment lives. It raises nothing.

    Args:
        env: the environment.
        request: what is asked.
        action_cls: the class of its actions.
        step: its step, which may be a coroutine function.
    """
    if inspect.iscoroutinefunction(step) or has_server(env):

        async def answer_async() -> JsonRpcResponse:
            try:
                if has_server(env):
                    return _success(request, await _ask_server(env, request))
                return _success(request, _observed(request, await step(_action(request, action_cls))))
            except Exception as exc:  # whatever a tool raises is the answer
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
    """Give the tool that is called, None for a list of them; what is no such request is refused."""
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
    return plain(observation)


async def _ask_server(env: Any, request: JsonRpcRequest) -> Any:
    name = _tool_name(request)
    client, arguments = getattr(env, "mcp_client", None), request.params.get("arguments", {})
    if not client:
        return await _ask_without_client(env.mcp_server, name, arguments)
    # Reentrant: where the session holds a connection of this client's open, this opens none.
    async with client:
        if name is None:
            return {"tools": [_listed(tool) for tool in await client.list_tools()]}
        return plain(await client.call_tool(name=name, arguments=arguments))


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
        return plain(await function(**arguments))
    return plain(await anyio.to_thread.run_sync(lambda: function(**arguments)))


async def _tools_of(server: Any) -> dict[str, Any]:
    # FastMCP 2 gives a dict of them, FastMCP 3 a list.
    if hasattr(server, "get_tools"):
        found = await server.get_tools()
        if isinstance(found, dict):
            return found
    if hasattr(server, "list_tools"):
        return {tool.name: tool for tool in await server.list_tools()}
    return {}


def get_server_tools(mcp_server: Any) -> dict[str, Any]:
    """Give a FastMCP server's tools by their names, from code that does not await."""
    return run_blocking(_tools_of(mcp_server))


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.extend((True, asyncio.run(coroutine)))
        except BaseException as exc:  # it belongs to the caller
            outcome.extend((False, exc))

    thread = threading.Thread(target=work, name="openenv blocking coroutine")
    thread.start()
    thread.join()
    if not outcome[0]:
        raise outcome[1]
    return cast("T", outcome[1])
