"""What a server answers over HTTP: its health, its metadata and its schemas."""

from __future__ import annotations

import json
from typing import Any

import httpx

from openenv_async.conformance.findings import CheckOutcome, failed, warned
from openenv_async.conformance.schema.problems import schema_problems
from openenv_async.conformance.target import ServerTarget
from openenv_async.errors import EnvError, Unauthorized

SCHEMAS = ("action", "observation", "state")


async def check_health(target: ServerTarget) -> CheckOutcome:
    """Check `/health`."""
    answer = await target.get("/health")
    if answer.status_code != 200:
        return failed(f"/health answers {answer.status_code}")
    status = _object(answer).get("status")
    if status not in ("healthy", "ok"):
        return warned(f"/health answers 200 with the status {status!r}, not 'healthy'")
    return CheckOutcome("/health answers: the server is healthy")


async def check_metadata(target: ServerTarget) -> CheckOutcome:
    """Check `/metadata`."""
    answer = await target.get("/metadata")
    if answer.status_code in (401, 403):
        return _unauthorized(answer)
    if answer.status_code != 200:
        return warned(f"/metadata answers {answer.status_code}: {_short(answer)}")
    said = _object(answer)
    missing = [key for key in ("name", "description") if not isinstance(said.get(key), str)]
    if missing:
        return warned(f"/metadata has no {' and no '.join(missing)}", "define get_metadata() in the environment")
    return CheckOutcome(f"/metadata: {said['name']}, {said['description']}")


async def check_schema(target: ServerTarget, keep: dict[str, Any]) -> CheckOutcome:
    """Check `/schema`, and store the schemas in `keep`."""
    answer = await target.get("/schema")
    if answer.status_code in (401, 403):
        return _unauthorized(answer)
    if answer.status_code != 200:
        return failed(f"/schema answers {answer.status_code}: {_short(answer)}")
    said = _object(answer)
    missing = [key for key in SCHEMAS if not isinstance(said.get(key), dict)]
    if missing:
        return failed(f"/schema has no schema of {', '.join(missing)}")
    problems = [f"{key}{problem[1:]}" for key in SCHEMAS for problem in schema_problems(said[key])]
    if problems:
        return failed(f"/schema returns what is not a JSON Schema: {problems[0]}", None, *problems[1:])
    keep.update({key: said[key] for key in SCHEMAS})
    fields = list((said["action"].get("properties") or {}).keys())
    return CheckOutcome(f"/schema returns three JSON Schemas; an action has {', '.join(fields) or 'no fields'}")


def _unauthorized(answer: httpx.Response) -> CheckOutcome:
    raise Unauthorized(f"{answer.request.url.path} needs a token: give it with --token or OPENENV_TOKEN")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise EnvError(f"{answer.request.url.path} does not answer with JSON: {_short(answer)}") from error
    if not isinstance(value, dict):
        raise EnvError(f"{answer.request.url.path} answers with a JSON {type(value).__name__}, not an object")
    return value


def _short(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:120] or "no text"
