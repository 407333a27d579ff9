"""What is said to the world `basics`: every message and body, right and wrong."""

from __future__ import annotations

from typing import Any

from world_values import FAILURES, REWARDS, VALUES

Moves = list[dict[str, Any]]


def said(*messages: Any, path: str = "/ws") -> Moves:
    """One socket: messages as objects, or as text."""
    moves: Moves = [{"open": "a", "path": path}]
    for message in messages:
        moves.append({"say": "a", "text": message} if isinstance(message, str) else {"say": "a", "json": message})
    return moves


def step(**action: Any) -> dict[str, Any]:
    return {"type": "step", "data": action}


def reset(**arguments: Any) -> dict[str, Any]:
    return {"type": "reset", "data": arguments}


STATE = {"type": "state"}

WITH_PAGE: dict[str, Moves] = {
    "requests": [
        {"get": "/"},
        {"get": "/web"},
        {"get": "/web/"},
        {"get": "/web/metadata"},
        {"post": "/web/reset", "json": {"seed": 1}},
        {"post": "/web/reset"},
        {"post": "/web/step", "json": {"action": {"kind": "x"}}},
        {"post": "/web/step", "json": {"action": {"kind": "metadata"}}},
        {"get": "/web/state"},
        {"get": "/health"},
        {"post": "/reset"},
        {"open": "a"},
        {"say": "a", "json": STATE},
    ],
}

SCRIPTS: dict[str, Moves] = {
    "ws-episode": [
        *said({"type": "reset"}, reset(seed=5, episode_id="e1"), step(kind="hello"), STATE, step(kind="reward:int")),
        {"say": "a", "json": STATE},
        {"say": "a", "json": step(kind="state")},
        {"say": "a", "json": STATE},
        {"tell": "a", "json": {"type": "close"}},
        {"ended": "a"},
    ],
    "ws-before-reset": said(STATE, step(kind="x")),
    "ws-reset-arguments": said(
        reset(unknown=1),
        reset(seed="text", episode_id=5),
        reset(seed=-1),
        reset(seed=True, level={"deep": [1]}),
        reset(level="fail"),
        reset(self=1),
        {"type": "reset", "data": None},
        {"type": "reset", "data": []},
        {"type": "reset", "seed": 1},
        reset(seed=2**70),
        reset(episode_id="x" * 300),
    ),
    "ws-values": said(*(step(kind=f"value:{name}") for name in VALUES)),
    "ws-rewards": said(*(step(kind=f"reward:{name}") for name in REWARDS)),
    "ws-failures": said(*(step(kind=f"raise:{name}") for name in FAILURES), step(kind="alive")),
    "ws-odd-observations": said(step(kind="metadata"), step(kind="none"), step(kind="dict"), step(kind="bad")),
    "ws-actions": said(
        step(),
        step(kind=""),
        step(kind=5),
        step(kind="x", amount="2.5"),
        step(kind="x", amount="much"),
        step(kind="x", amount=-1),
        step(kind="x", colour="red", mode="b", inner={"x": 1}, items=[1, "2"]),
        step(kind="x", colour="green", mode="c", inner={"x": "no", "when": 3}, items=[1, "two"]),
        step(kind="x", inner="text"),
        step(kind="x", extra=1, more=2),
        step(kind="x", metadata={"a": 1}),
        step(kind="x", metadata=None),
        step(kind="x", amount=None),
        step(kind="x", items=[1.5]),
        step(type="call_tool", tool_name="x"),
        step(type="list_tools"),
        {"type": "step", "data": {"kind": "x", "amount": 2**70}},
        '{"type": "step", "data": {"kind": "x", "amount": NaN}}',
        '{"type": "step", "data": {"kind": "x", "amount": 1e999}}',
        '{"type": "step", "data": {"kind": "a", "kind": "b"}}',
        '{"type": "step", "data": {"kind": "\\ud83d\\ude00 \\u00e9 \\u0000"}}',
    ),
    "ws-messages": said(
        "not json",
        "",
        '{"type": ',
        "{'type': 'reset'}",
        "{}",
        {"type": "reset2"},
        {"type": None},
        {"type": 5},
        {"type": ["reset"]},
        {"type": {"a": 1}},
        {"type": True},
        {"type": "RESET"},
        {"type": "step"},
        {"type": "step", "data": None},
        {"type": "step", "data": "text"},
        {"type": "step", "data": [1]},
        {"type": "step", "data": {}, "more": 1, "and": 2},
        {"type": "state", "data": {}},
        {"type": "state", "more": None},
        {"type": "close", "data": {}},
        {"type": "mcp"},
        {"type": "mcp", "data": 5},
        {"data": {}},
        ' {"type" : "state" } ',
        '{"type": "state", "type": "state"}',
        '{"type": "\\u0073tate"}',
        STATE,
    ),
    "http-questions": [
        {"get": path}
        for path in (
            "/health",
            "/schema",
            "/metadata",
            "/state",
            "/list_environments",
            "/nowhere",
            "/",
            "/ws",
            "/reset",
        )
    ],
    "http-reset": [
        {"post": "/reset"},
        {"post": "/reset", "json": {}},
        {"post": "/reset", "json": {"seed": 5, "episode_id": "e"}},
        {"post": "/reset", "json": {"seed": None, "level": "x"}},
        {"post": "/reset", "json": {"unknown": 1}},
        {"post": "/reset", "json": {"seed": -1}},
        {"post": "/reset", "json": {"seed": "five", "episode_id": 5}},
        {"post": "/reset", "json": {"seed": "5"}},
        {"post": "/reset", "json": {"episode_id": "x" * 256}},
        {"post": "/reset", "json": []},
        {"post": "/reset", "text": "not json"},
        {"post": "/reset", "text": ""},
        {"post": "/reset", "json": {"level": "fail"}},
        {"get": "/step"},
        {"put": "/reset"},
    ],
    "http-step": [
        {"post": "/step", "json": {"action": {"kind": "x"}}},
        {"post": "/step", "json": {"action": {"kind": "arguments"}, "timeout_s": 3, "loud": True}},
        {"post": "/step", "json": {"action": {"kind": "arguments"}, "request_id": "r", "own": [1]}},
        {"post": "/step", "json": {"action": {"kind": "arguments"}, "timeout_s": None}},
        {"post": "/step", "json": {"action": {"kind": "x"}, "timeout_s": 0}},
        {"post": "/step", "json": {"action": {"kind": "x"}, "timeout_s": "soon", "request_id": 5}},
        {"post": "/step", "json": {"action": {}}},
        {"post": "/step", "json": {"action": {"kind": "", "amount": -1, "more": 1}}},
        {"post": "/step", "json": {"kind": "x"}},
        {"post": "/step", "json": {"action": "x"}},
        {"post": "/step", "json": {"action": None}},
        {"post": "/step", "json": []},
        {"post": "/step"},
        {"post": "/step", "text": "{"},
        {"post": "/step", "json": {"action": {"kind": "metadata"}}},
        {"post": "/step", "json": {"action": {"kind": "none"}}},
        {"post": "/step", "json": {"action": {"kind": "bad"}}},
        {"post": "/step", "json": {"action": {"type": "list_tools"}}},
    ],
    "http-values": [{"post": "/step", "json": {"action": {"kind": f"value:{name}"}}} for name in VALUES],
    "http-rewards": [{"post": "/step", "json": {"action": {"kind": f"reward:{name}"}}} for name in REWARDS],
    "http-failures": [{"post": "/step", "json": {"action": {"kind": f"raise:{name}"}}} for name in FAILURES],
    "http-no-tasks": [
        {"get": "/basics/splits"},
        {"get": "/other/splits"},
        {"post": "/basics/tasks", "json": {"split": "train"}},
        {"post": "/basics/num_tasks", "json": {"split": "train"}},
        {"post": "/basics/task", "json": {"split": "train", "index": 1}},
        {"post": "/basics/task_range", "json": {"split": "train"}},
        {"post": "/basics/tasks", "json": {}},
        {"post": "/basics/task", "json": {"split": "train", "index": "one", "more": 1}},
    ],
    "ws-capacity": [
        {"open": "a"},
        {"say": "a", "json": {"type": "reset"}},
        {"open": "b"},
        {"hear": "b"},
        {"ended": "b"},
        {"post": "/reset", "json": {"seed": 1}},
        {"say": "a", "json": STATE},
        {"tell": "a", "json": {"type": "close"}},
        {"ended": "a"},
        {"open": "c"},
        {"say": "c", "json": {"type": "reset"}},
    ],
}
