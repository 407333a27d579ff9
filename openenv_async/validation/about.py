"""What an environment is: for `openenv info`, from its folder or from its running server.

Owns the questions; where the folder is deployed is `deployed`'s. Judges nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from openenv_async.errors import EnvError
from openenv_async.validation.deployed import local_image, space_of
from openenv_async.validation.describing import Description, describe
from openenv_async.validation.endpoints import SCHEMAS, require_server
from openenv_async.validation.manifest import check_manifest
from openenv_async.validation.schemas import follow
from openenv_async.validation.subject import Subject


async def about_folder(folder: Path, timeout_s: float) -> dict[str, Any]:
    """Describe the environment in a folder; its code is imported in a child process.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
    """
    checks, facts = check_manifest(folder)
    problems = [f"{c.where}: {c.sentence}" for c in checks if c.result == "failed"]
    said = None if problems else await describe(folder, timeout_s)
    app = said.app if said is not None else {}
    if said is not None:
        problems += _problems(said)
    return {
        "kind": "folder",
        "where": str(folder),
        "name": facts.name,
        "version": facts.version,
        "description": facts.description or app.get("description"),
        "environment": app.get("environment"),
        "app": facts.app,
        "port": facts.port,
        "execution": app.get("execution"),
        "max_sessions": app.get("max_sessions"),
        "schemas": app.get("schemas") or {},
        "space": space_of(folder),
        "image": await local_image(facts.name),
        "problems": problems,
    }


async def about_url(subject: Subject) -> dict[str, Any]:
    """Describe a running server, of this runtime or of OpenEnv's.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
    """
    await require_server(subject)
    problems: list[str] = []
    health, metadata, schema = [await _ask(subject, path, problems) for path in ("/health", "/metadata", "/schema")]
    wire, capacity = None, None
    try:
        hello = await subject.hello()
        wire = "OpenEnv JSON" if hello is None else f"native {hello.version}"
        capacity = None if hello is None else hello.limits.get("max_sessions")
    except EnvError as error:
        problems.append(str(error))
    return {
        "kind": "server",
        "where": subject.url,
        "name": metadata.get("name"),
        "version": metadata.get("version"),
        "description": metadata.get("description"),
        "author": metadata.get("author"),
        "documentation_url": metadata.get("documentation_url"),
        "health": health.get("status"),
        "wire": wire,
        "max_sessions": capacity,
        "schemas": {key: schema[key] for key in SCHEMAS if isinstance(schema.get(key), dict)},
        "problems": problems,
    }


def fields_of(schema: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    """Give each field of a schema in words: its name, its type, whether it is required, its description."""
    required = schema.get("required") or []
    properties = schema.get("properties") or {}
    return [
        (name, _type(part, schema, 0), name in required, str(part.get("description", "")))
        for name, part in properties.items()
        if isinstance(part, dict)
    ]


def _type(part: Any, root: Any, depth: int) -> str:
    if not isinstance(part, dict) or not part or depth > 3:
        return "anything"
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        try:
            found = follow(root, str(part["$ref"]))
        except LookupError:
            return name
        return _type(found, root, depth + 1) if "enum" in found else name
    if "const" in part:
        return repr(part["const"])
    if "enum" in part:
        return " | ".join(repr(each) for each in part["enum"])
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " | ".join(dict.fromkeys(_type(each, root, depth + 1) for each in part[key]))
    kind = part.get("type", "object" if "properties" in part else "anything")
    if kind == "array" and isinstance(part.get("items"), dict):
        return f"list of {_type(part['items'], root, depth + 1)}"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _problems(said: Description) -> list[str]:
    broken = said.broken()
    stages = [stage for stage in said.stages.values() if not stage.ok] + ([broken] if broken is not None else [])
    return [f"{stage.name}: {stage.problem}" for stage in stages]


async def _ask(subject: Subject, path: str, problems: list[str]) -> dict[str, Any]:
    try:
        answer = await subject.get(path)
        if answer.status_code != 200:
            wants = ": it wants a token (--token)" if answer.status_code in (401, 403) else ""
            problems.append(f"{path} answers {answer.status_code}{wants}")
            return {}
        said = answer.json()
    except (httpx.HTTPError, ValueError, RecursionError) as error:
        problems.append(f"{path}: {error or type(error).__name__}")
        return {}
    return said if isinstance(said, dict) else {}
