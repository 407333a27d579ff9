"""What is said to the world `tools`: tool actions, JSON-RPC by every way there is, and sessions by their ids."""

from __future__ import annotations

from typing import Any

from scripts_basics import STATE, Moves, reset, said, step

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def rpc(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return rpc("tools/call", name=name, arguments=arguments)


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return step(type="call_tool", tool_name=name, arguments=arguments)


def mcp(request: Any) -> dict[str, Any]:
    return {"type": "mcp", "data": request}


REQUESTS: list[Any] = [
    LIST,
    call("add", a=1, b=2),
    call("add", a="x"),
    call("echo", text="t"),
    call("fail"),
    call("missing"),
    call("everywhere", n=2),
    rpc("tools/call"),
    rpc("tools/call", name="add"),
    rpc("tools/call", name="add", arguments={"a": 1, "more": 2}),
    rpc("other/method", "text-id"),
    {"jsonrpc": "2.0", "method": "tools/list"},
    {"jsonrpc": "1.0", "method": "tools/list", "id": 2},
    {"jsonrpc": "2.0", "id": 2},
    {"jsonrpc": "2.0", "method": "tools/list", "params": [], "id": 2},
    {"jsonrpc": "2.0", "method": "tools/list", "more": 1, "id": 2},
    {"jsonrpc": "2.0", "method": 5, "id": [1]},
    {},
    rpc("openenv/session/close"),
    rpc("openenv/session/close", session_id="nobody"),
    rpc("tools/list", session_id="nobody"),
]


def posted(prefix: str, *requests: Any) -> Moves:
    return [{"post": f"{prefix}/mcp", "json": request} for request in requests]


SCRIPTS: dict[str, Moves] = {
    "steps": said(
        step(type="list_tools"),
        reset(),
        tool("add", a=1, b=2),
        tool("add", a="x"),
        tool("add"),
        tool("echo", text="t"),
        tool("fail"),
        tool("fail", how="other"),
        tool("missing"),
        tool("remember", value="v"),
        tool("remember"),
        tool("everywhere", n=4),
        tool("everywhere", m=4),
        tool("only_simulated", n=1, x=2),
        step(metadata={"own": 1}),
        STATE,
    ),
    "moded": said(
        step(type="list_tools"),
        tool("only_simulated", n=1, x=2),
        tool("only_simulated"),
        step(),
        {"type": "mcp", "data": LIST},
        path="/moded/ws",
    ),
    "post": [
        *posted("", *REQUESTS),
        {"post": "/mcp", "text": "not json"},
        {"post": "/mcp", "text": ""},
        {"post": "/mcp", "json": []},
        {"post": "/mcp", "json": 5},
        {"get": "/mcp"},
    ],
    "ws-mcp-message": said(*(mcp(request) for request in REQUESTS), tool("add", a=1), step()),
    "ws-mcp-session": [
        {"open": "a"},
        {"say": "a", "json": mcp(rpc("openenv/session/create")), "keep": {"own": ["data", "result", "session_id"]}},
        {"say": "a", "json": mcp(rpc("openenv/session/create", "again"))},
        {"say": "a", "json": mcp(rpc("openenv/session/close", session_id="$own"))},
        {"say": "a", "json": mcp(rpc("openenv/session/close"))},
        {"say": "a", "json": mcp(rpc("openenv/session/close", session_id="other"))},
        {"post": "/mcp", "json": rpc("tools/call", name="echo", arguments={"text": "from outside"}, session_id="$own")},
        {"say": "a", "json": tool("echo", text="inside")},
    ],
    "socket": [
        *said(*REQUESTS, path="/mcp"),
        {"say": "a", "text": "not json"},
        {"say": "a", "json": rpc("openenv/session/create"), "keep": {"own": ["result", "session_id"]}},
        {"say": "a", "json": rpc("openenv/session/close", session_id="$own")},
        {"say": "a", "json": call("remember", value="kept")},
        {"say": "a", "json": call("remember")},
    ],
    "http-sessions": [
        {"post": "/mcp", "json": rpc("openenv/session/create"), "keep": {"one": ["body", "result", "session_id"]}},
        *posted("", rpc("tools/call", name="remember", arguments={"value": "v"}, session_id="$one")),
        *posted("", rpc("tools/call", name="remember", session_id="$one")),
        *posted("", rpc("tools/call", name="echo", arguments={"text": "1"}, session_id="$one")),
        *posted("", rpc("tools/call", name="echo", arguments={"text": "2"}, session_id="$one")),
        *posted("", rpc("tools/list", session_id="$one")),
        {"open": "a", "path": "/ws?session_id=$one"},
        {"say": "a", "json": STATE},
        {"say": "a", "json": reset(episode_id="e")},
        {"say": "a", "json": tool("echo", text="3")},
        {"say": "a", "json": mcp(call("echo", text="4"))},
        *posted("", rpc("tools/call", name="echo", arguments={"text": "5"}, session_id="$one")),
        {"say": "a", "text": "not json"},
        {"say": "a", "json": {"type": "what"}},
        {"open": "b", "path": "/ws?session_id=$one"},
        {"hear": "b"},
        {"ended": "b"},
        *posted("", rpc("openenv/session/close", session_id="$one")),
        {"say": "a", "json": STATE},
        {"tell": "a", "json": {"type": "close"}},
        {"ended": "a"},
        *posted("", rpc("openenv/session/close", session_id="$one"), rpc("tools/list", session_id="$one")),
        {"open": "c", "path": "/ws?session_id=$one"},
        {"hear": "c"},
        {"ended": "c"},
    ],
    "attach-again": [
        {"post": "/mcp", "json": rpc("openenv/session/create"), "keep": {"one": ["body", "result", "session_id"]}},
        {"open": "a", "path": "/ws?session_id=$one"},
        {"say": "a", "json": reset(episode_id="kept")},
        {"tell": "a", "json": {"type": "close"}},
        {"ended": "a"},
        {"open": "b", "path": "/ws?session_id=$one"},
        {"say": "b", "json": STATE},
        {"tell": "b", "json": {"type": "close"}},
        {"ended": "b"},
        *posted("", rpc("openenv/session/close", session_id="$one")),
        *posted("", rpc("openenv/session/close", session_id="$one")),
    ],
    "one-cap": [
        {"post": "/mcp", "json": rpc("openenv/session/create"), "keep": {"one": ["body", "result", "session_id"]}},
        {"open": "a"},
        {"say": "a", "json": STATE},
        {"open": "b", "path": "/mcp"},
        {"say": "b", "json": call("add", a=1)},
        *posted("", rpc("openenv/session/create", 2)),
        {"open": "c"},
        {"hear": "c"},
        {"ended": "c"},
        {"open": "d", "path": "/mcp"},
        {"hear": "d"},
        {"ended": "d"},
        *posted("", LIST, rpc("openenv/session/close", session_id="$one")),
    ],
    "routed": [
        *said(reset(), tool("who"), tool("who"), mcp(call("who")), path="/routed/ws"),
        {"post": "/routed/step", "json": {"action": {"type": "call_tool", "tool_name": "who"}}},
        *posted("/routed", call("who")),
    ],
    "server-only": [*posted("/server", LIST, call("double", n=2), call("triple", n=2), call("none"), call("double"))],
    "byaction": [
        *posted("/byaction", LIST, call("t", a=1), call("odd"), call("boom"), rpc("tools/call")),
        *said(mcp(LIST), mcp(call("t", a=1)), mcp(call("t")), tool("t"), mcp(call("odd")), STATE, path="/byaction/ws"),
        {"get": "/byaction/schema"},
        {"post": "/byaction/step", "json": {"action": {"type": "call_tool", "tool_name": "t"}}},
        {"post": "/byaction/step", "json": {"action": {"type": "list_tools"}}},
    ],
    "none": [
        *posted("/none", LIST, call("x"), rpc("other")),
        *said(mcp(LIST), mcp(call("x")), mcp(rpc("other")), path="/none/ws"),
    ],
    "broken": [
        *posted("/broken", rpc("openenv/session/create")),
        {"open": "a", "path": "/broken/mcp"},
        {"hear": "a"},
        {"ended": "a"},
        *posted("/broken", LIST),
    ],
    "production": [
        *posted("/production", LIST, call("add", a=1)),
        *said(reset(), tool("add", a=2), path="/production/ws"),
        {"get": "/production/schema"},
        {"post": "/production/reset"},
    ],
}
