"""`POST /mcp` and the WebSocket `/mcp`: tools by JSON-RPC, without steps. HTTP always answers 200."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response, WebSocket

from openenv_async.compat.server.jsonrpc import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse
from openenv_async.compat.server.sessions import rpc_call
from openenv_async.compat.server.sockets import ask, written
from openenv_async.compat.server.tools import read_request

if TYPE_CHECKING:
    from openenv_async.compat.server.http_server import HTTPEnvServer


def register_mcp_socket(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add the WebSocket."""

    @app.websocket("/mcp")
    async def mcp_websocket_endpoint(websocket: WebSocket) -> None:
        """Serve a session that is asked by JSON-RPC."""
        await server.running.serve_rpc_socket(websocket)


def register_mcp(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add `POST /mcp`."""

    @app.post("/mcp")
    async def mcp_endpoint(request_raw: Request) -> Response:
        """Answer one JSON-RPC request, about the session that its params name or an environment of its own."""
        try:
            fields = json.loads(await request_raw.body())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return _response(JsonRpcResponse.error_response(JsonRpcErrorCode.PARSE_ERROR))
        request = read_request(fields)
        return _response(request if isinstance(request, JsonRpcResponse) else await _answer(server, request))


async def _answer(server: HTTPEnvServer, request: JsonRpcRequest) -> JsonRpcResponse | bytes:
    running = server.running
    answer = await running.sessions.answer(request, None)
    if answer is not None:
        return answer
    name = request.params.get("session_id")
    if not name:
        return (await running.once(rpc_call(request))).data
    session = running.sessions.find(name) if isinstance(name, str) else None
    if session is None:
        text = f"Unknown session_id: {name}"
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INVALID_PARAMS, text, request_id=request.id)
    return await ask(session, request)


def _response(answer: JsonRpcResponse | bytes) -> Response:
    return Response(written(answer), media_type="application/json")
