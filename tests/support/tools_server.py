"""A tool environment's server, small enough to read: JSON-RPC at `/mcp`, sessions that a WebSocket attaches to."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TOOLS = [
    {"name": "write", "description": "Write a note.", "inputSchema": {"type": "object"}},
    {"name": "read", "description": "Read the last note.", "input_schema": {"type": "object"}},
]


class Tools:
    """Sessions with notes, and what was asked."""

    def __init__(self) -> None:
        self.sessions: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.made = 0
        self.app = Starlette(routes=[Route("/mcp", self.mcp, methods=["POST"]), WebSocketRoute("/ws", self.play)])

    async def mcp(self, request: Request) -> JSONResponse:
        body = await request.json()
        method, params = body["method"], body["params"]
        self.asked.append(method)
        assert body["jsonrpc"] == "2.0"
        if method == "openenv/session/create":
            self.made += 1
            self.sessions[f"s{self.made}"] = []
            return self._result(body, {"session_id": f"s{self.made}"})
        notes = self.sessions.get(params["session_id"])
        if notes is None:
            return JSONResponse(
                {"jsonrpc": "2.0", "id": body["id"], "error": {"code": -32602, "message": "Unknown session_id"}}
            )
        if method == "openenv/session/close":
            del self.sessions[params["session_id"]]
            return self._result(body, {"closed": True})
        if method == "tools/list":
            return self._result(body, {"tools": TOOLS})
        if params["name"] == "write":
            notes.append(params["arguments"]["text"])
            return self._result(body, {"data": len(notes), "is_error": False})
        if params["name"] == "read":
            return self._result(body, notes[-1])
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "error": {"code": -32603, "message": "no such tool"}})

    def _result(self, body: dict[str, Any], result: Any) -> JSONResponse:
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": result})

    async def play(self, socket: WebSocket) -> None:
        await socket.accept()
        session_id = socket.query_params["session_id"]
        with contextlib.suppress(WebSocketDisconnect):
            if session_id not in self.sessions:
                data = {"message": f"Unknown session_id: {session_id}", "code": "SESSION_ERROR"}
                await socket.send_json({"type": "error", "data": data})
                await socket.close()
                return
            while True:
                message = json.loads(await socket.receive_text())
                if message["type"] == "close":
                    await socket.close()
                    return
                await socket.send_json(self._answer(self.sessions[session_id], message))

    def _answer(self, notes: list[str], message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "state":
            return {"type": "state", "data": {"episode_id": "e", "step_count": len(notes), "more": 1}}
        if message["type"] == "reset":
            notes.clear()
            return _observed({"metadata": {"begun": True}, "extra": 5})
        action = message["data"]
        if action.get("type") == "list_tools":
            return _observed({"tools": TOOLS})
        if action.get("type") == "call_tool":
            error = {"error_type": "tool_not_found", "message": "none"} if action["tool_name"] == "burn" else None
            return _observed({"tool_name": action["tool_name"], "result": action["arguments"], "error": error})
        return _observed({"got": action})


def _observed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "observation", "data": {"observation": fields, "reward": 1, "done": False}}
