"""`/openapi.json` and `/docs`: the HTTP routes, described with the environment's schemas."""

from __future__ import annotations

import html
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from openenv_async.runtime.blueprint import Blueprint
from openenv_async.server.session_listing import MOST_LISTED, SORTS

_SESSION = {
    "name": "x-session-id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The session to play on with, as named by the answer to POST /reset.",
}

_CAPACITY = {
    "type": "object",
    "properties": {
        "active": {"type": "integer", "description": "slots in use"},
        "max": {"type": "integer", "description": "slots there are"},
        "waiting": {"type": "integer", "description": "sessions that wait for a slot"},
        "available": {"type": "integer", "description": "slots that are free"},
        "queue_timeout_s": {"type": "number", "description": "seconds that a native client may wait"},
        "retry_after_s": {"type": "number", "description": "estimate, in seconds, of a newcomer's wait; 0: none"},
        "closing": {"type": "boolean", "description": "the server takes no new sessions"},
        "states": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "sessions by state"},
    },
    "required": ["active", "max", "waiting", "available", "queue_timeout_s", "retry_after_s", "closing", "states"],
}


def document(blueprint: Blueprint) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of one server."""
    schemas: dict[str, Any] = {}
    for name, schema in (
        ("Action", blueprint.action.schema()),
        ("Observation", blueprint.observation.model.schema()),
        ("State", blueprint.state.schema()),
    ):
        schema = _at_home(schema, schemas)
        schemas[name] = schema
    schemas["StepResponse"] = {
        "type": "object",
        "properties": {
            "observation": {"$ref": "#/components/schemas/Observation"},
            "reward": {"type": ["number", "null"]},
            "done": {"type": "boolean"},
            "metadata": {"type": ["object", "null"]},
        },
        "required": ["observation", "reward", "done"],
    }
    reset_body = {
        "type": "object",
        "properties": {"seed": {"type": ["integer", "null"], "minimum": 0}, "episode_id": {"type": ["string", "null"]}},
        "additionalProperties": True,
    }
    step_body = {
        "type": "object",
        "properties": {
            "action": {"$ref": "#/components/schemas/Action"},
            "timeout_s": {"type": ["number", "null"], "exclusiveMinimum": 0, "description": "seconds"},
        },
        "required": ["action"],
    }
    step = _ref("StepResponse")
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{blueprint.name} environment", "version": "1.0.0"},
        "paths": {
            "/health": {"get": _route("The server answers", {"type": "object"})},
            "/capacity": {"get": _route("How full the server is", _CAPACITY)},
            "/metrics": {"get": _text_route("What the server counts, for Prometheus; 501 where nothing is counted")},
            "/metadata": {"get": _route("The environment's description of itself", {"type": "object"})},
            "/schema": {"get": _route("JSON Schemas of action, observation and state", {"type": "object"})},
            "/state": {"get": _route("The episode's state", _ref("State"), session=True)},
            "/reset": {"post": _route("Begin an episode", step, body=reset_body, session=True)},
            "/step": {"post": _route("Play one action", step, body=step_body, session=True)},
            "/session": {"delete": _route("End the session", None, session=True)},
            **_operator_paths(),
        },
        "components": {"schemas": schemas},
    }


def _operator_paths() -> dict[str, Any]:
    listing = _route("The sessions of the server: docs/recording.md", {"type": "object"})
    whole = {"type": "integer", "minimum": 0}
    listing["parameters"] = [
        {"name": "limit", "in": "query", "schema": whole | {"minimum": 1, "maximum": MOST_LISTED}},
        {"name": "offset", "in": "query", "schema": whole},
        {"name": "sort", "in": "query", "schema": {"enum": list(SORTS)}},
    ]
    closing = _route("Close a session", {"type": "object"})
    closing["parameters"] = [
        {"name": "session_id", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "grace_s", "in": "query", "schema": {"type": "number", "minimum": 0, "description": "seconds"}},
    ]
    closing["responses"]["404"] = {"description": "There is no such session"}
    for route in (listing, closing):
        route["responses"]["403"] = {"description": "The request has neither the token nor the operator's key"}
    return {"/sessions": {"get": listing}, "/sessions/{session_id}": {"delete": closing}}


def _at_home(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Move a schema's `$defs` among the components, where an OpenAPI document looks for them."""
    text = msgspec.json.encode(schema).replace(b'"#/$defs/', b'"#/components/schemas/')
    moved: dict[str, Any] = msgspec.json.decode(text)
    schemas.update(moved.pop("$defs", {}))
    return moved


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _route(
    summary: str, result: dict[str, Any] | None, *, body: dict[str, Any] | None = None, session: bool = False
) -> dict[str, Any]:
    done = {"200": {"description": summary, "content": {"application/json": {"schema": result}}}}
    route: dict[str, Any] = {"summary": summary, "responses": done if result else {"204": {"description": summary}}}
    if body is not None:
        route["requestBody"] = {"content": {"application/json": {"schema": body}}}
        route["responses"]["422"] = {"description": "The body does not fit; `detail` lists every problem"}
    if session:
        route["parameters"] = [_SESSION]
    return route


def _text_route(summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}
code,pre{{font:14px/1.45 ui-monospace,monospace}}pre{{overflow:auto;padding:.75rem;border:1px solid #8886}}
summary{{cursor:pointer;padding:.4rem 0}}b{{display:inline-block;min-width:4.5rem}}</style>
<h1>{title}</h1><p>The document itself: <a href="openapi.json">openapi.json</a>.
Trainers use the WebSocket at <code>/ws</code>: <code>await AsyncEnv.connect(url)</code>.</p>{routes}</html>"""


def page(spec: dict[str, Any]) -> str:
    """Return the document as one page without scripts or files from other sites."""
    rows = []
    for path, methods in spec["paths"].items():
        for method, route in methods.items():
            body = html.escape(msgspec.json.format(msgspec.json.encode(route), indent=2).decode())
            head = f"<b>{method.upper()}</b><code>{html.escape(path)}</code> {html.escape(route['summary'])}"
            rows.append(f"<details><summary>{head}</summary><pre>{body}</pre></details>")
    for name, schema in spec["components"]["schemas"].items():
        body = html.escape(msgspec.json.format(msgspec.json.encode(schema), indent=2).decode())
        rows.append(f"<details><summary><b>Schema</b>{html.escape(name)}</summary><pre>{body}</pre></details>")
    return _PAGE.format(title=html.escape(spec["info"]["title"]), routes="".join(rows))


class Documents:
    """The handlers of the two routes; the document is made on first use."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._spec: dict[str, Any] | None = None

    def spec(self) -> dict[str, Any]:
        """Return the document."""
        if self._spec is None:
            self._spec = document(self._blueprint)
        return self._spec

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`."""
        return Response(msgspec.json.encode(self.spec()), media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """`GET /docs`."""
        return HTMLResponse(page(self.spec()))
