"""What a server says over HTTP: that it is healthy, who it is, and its schemas."""

from __future__ import annotations

import json
from typing import Any

import httpx

from openenv_async.errors import EnvError, Unauthorized
from openenv_async.validation.checks import NotAnEnvironment
from openenv_async.validation.recorder import Said, failed, warned
from openenv_async.validation.schemas import schema_problems
from openenv_async.validation.subject import Subject

SCHEMAS = ("action", "observation", "state")


async def require_server(subject: Subject) -> None:
    """Make sure that something like an environment server answers.

    Raises:
        NotAnEnvironment: nothing answers, or something else does.
    """
    try:
        answer = await subject.get("/health")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        text = f"nothing answers at {subject.url} ({str(error) or type(error).__name__}): is the server running there?"
        raise NotAnEnvironment(text) from error
    if answer.status_code == 404:
        raise NotAnEnvironment(f"what answers at {subject.url} is no environment server: it has no /health")


async def check_health(subject: Subject) -> Said:
    """Ask `/health`."""
    answer = await subject.get("/health")
    if answer.status_code != 200:
        return failed(f"/health answers {answer.status_code}")
    status = _object(answer).get("status")
    if status not in ("healthy", "ok"):
        return warned(f"/health answers 200 and calls itself {status!r}, not 'healthy'")
    return Said(sentence="/health answers: the server is healthy")


async def check_metadata(subject: Subject) -> Said:
    """Ask `/metadata`."""
    answer = await subject.get("/metadata")
    if answer.status_code in (401, 403):
        return _unauthorized(answer)
    if answer.status_code != 200:
        return warned(f"/metadata answers {answer.status_code}: {_short(answer)}")
    said = _object(answer)
    missing = [key for key in ("name", "description") if not isinstance(said.get(key), str)]
    if missing:
        return warned(f"/metadata has no {' and no '.join(missing)}", "define get_metadata() in the environment")
    return Said(sentence=f"/metadata: {said['name']}, {said['description']}")


async def check_schema(subject: Subject, keep: dict[str, Any]) -> Said:
    """Ask `/schema`, and judge what it gives.

    Args:
        subject: the server.
        keep: the schemas are put here.
    """
    answer = await subject.get("/schema")
    if answer.status_code in (401, 403):
        return _unauthorized(answer)
    if answer.status_code != 200:
        return failed(f"/schema answers {answer.status_code}: {_short(answer)}")
    said = _object(answer)
    missing = [key for key in SCHEMAS if not isinstance(said.get(key), dict)]
    if missing:
        return failed(f"/schema does not give the schema of {', '.join(missing)}")
    problems = [f"{key}{problem[1:]}" for key in SCHEMAS for problem in schema_problems(said[key])]
    if problems:
        return failed(f"/schema gives what is no JSON Schema: {problems[0]}", None, *problems[1:])
    keep.update({key: said[key] for key in SCHEMAS})
    fields = list((said["action"].get("properties") or {}).keys())
    return Said(sentence=f"/schema gives three JSON Schemas; an action has {', '.join(fields) or 'no fields'}")


def _unauthorized(answer: httpx.Response) -> Said:
    raise Unauthorized(f"{answer.request.url.path} wants a token: give it with --token or OPENENV_TOKEN")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise EnvError(f"{answer.request.url.path} answers with what is no JSON: {_short(answer)}") from error
    if not isinstance(value, dict):
        raise EnvError(f"{answer.request.url.path} answers with a JSON {type(value).__name__}, and not an object")
    return value


def _short(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:120] or "no text"
