"""What an environment is, for `openenv info`: from its folder, or from its running server.

Of a folder also where it is deployed, as far as this machine knows: the Space it came
from, and the image made of it.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx

from openenv_async.conformance.project.code import CodeDescription, describe
from openenv_async.conformance.project.manifest import check_manifest
from openenv_async.conformance.schema.problems import follow
from openenv_async.conformance.server.endpoints import SCHEMAS
from openenv_async.conformance.target import ServerTarget, require_server
from openenv_async.errors import EnvError

_SPACE = re.compile(r"(?:huggingface\.co|hf\.co)[:/]+spaces/([\w.-]+/[\w.-]+?)(?:\.git)?/?\s*$")
_ENGINE_TIMEOUT_S = 5.0


async def about_folder(folder: Path, timeout_s: float) -> dict[str, Any]:
    """Describe the environment in a folder; its code is imported in a child process.

    Raises:
        NotAnEnvironment: it has no `openenv.yaml`.
    """
    findings, manifest = check_manifest(folder)
    problems = [f"{each.where}: {each.sentence}" for each in findings if each.result == "failed"]
    description = None if problems else await describe(folder, timeout_s)
    app = description.app if description is not None else {}
    if description is not None:
        problems += _problems(description)
    return {
        "kind": "folder",
        "where": str(folder),
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description or app.get("description"),
        "environment": app.get("environment"),
        "app": manifest.app,
        "port": manifest.port,
        "execution": app.get("execution"),
        "max_sessions": app.get("max_sessions"),
        "schemas": app.get("schemas") or {},
        "space": space_of(folder),
        "image": await local_image(manifest.name),
        "problems": problems,
    }


async def about_url(target: ServerTarget) -> dict[str, Any]:
    """Describe a running server, of this runtime or of OpenEnv's.

    Raises:
        NotAnEnvironment: nothing answers there, or something else does.
    """
    await require_server(target)
    problems: list[str] = []
    health, metadata, schema = [await _ask(target, path, problems) for path in ("/health", "/metadata", "/schema")]
    wire, capacity = None, None
    try:
        hello = await target.hello()
        wire = "OpenEnv JSON" if hello is None else f"native {hello.version}"
        capacity = None if hello is None else hello.limits.get("max_sessions")
    except EnvError as error:
        problems.append(str(error))
    return {
        "kind": "server",
        "where": target.url,
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
    """Return each field of a schema in words: its name, its type, whether it is required, its description."""
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


def _problems(description: CodeDescription) -> list[str]:
    broken = description.broken()
    stages = [stage for stage in description.stages.values() if not stage.ok] + ([broken] if broken is not None else [])
    return [f"{stage.name}: {stage.problem}" for stage in stages]


async def _ask(target: ServerTarget, path: str, problems: list[str]) -> dict[str, Any]:
    try:
        answer = await target.get(path)
        if answer.status_code != 200:
            wants = ": it needs a token (--token)" if answer.status_code in (401, 403) else ""
            problems.append(f"{path} answers {answer.status_code}{wants}")
            return {}
        said = answer.json()
    except (httpx.HTTPError, ValueError, RecursionError) as error:
        problems.append(f"{path}: {error or type(error).__name__}")
        return {}
    return said if isinstance(said, dict) else {}


def space_of(folder: Path) -> str | None:
    """Return the Space that is a remote of the folder's git repository, as `owner/name`."""
    for parent in (folder, *folder.parents):
        config = parent / ".git" / "config"
        if not (parent / ".git").exists():
            continue
        try:
            lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        urls = [line.partition("=")[2].strip() for line in lines if line.strip().startswith("url")]
        # Only the name: the address may contain a token.
        return next((match[1] for url in urls if (match := _SPACE.search(url))), None)
    return None


async def local_image(name: str) -> dict[str, Any] | None:
    """Return the image that `openenv build` makes of an environment, if an engine here has it."""
    import aiodocker

    from openenv_async.images.engine import open_engine
    from openenv_async.images.errors import ImageError
    from openenv_async.images.names import default_name

    tag = f"{default_name(name)}:latest"
    try:
        async with asyncio.timeout(_ENGINE_TIMEOUT_S), open_engine() as engine:
            found = await engine.images.inspect(tag)
    except (ImageError, aiodocker.DockerError, OSError, TimeoutError, ValueError):
        return None
    return {"tag": tag, "id": str(found["Id"]), "size": int(found["Size"]), "created": str(found.get("Created", ""))}
