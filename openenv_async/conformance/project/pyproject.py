"""`pyproject.toml`: what the environment depends on, and the `server` script."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

from openenv_async.conformance.findings import NOWHERE, FileFindings, Finding, Position
from openenv_async.conformance.project.locations import find_in, module_file
from openenv_async.conformance.project.manifest import Manifest

FILE_NAME = "pyproject.toml"
RUNTIMES = ("openenv-async", "openenv", "openenv-core")
"""Distributions that serve an environment; the last is what OpenEnv was called before."""

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")
_ENTRY = re.compile(r"\s*([\w.]+)\s*:\s*([\w.]+)\s*")


def check_pyproject(folder: Path, manifest: Manifest) -> list[Finding]:
    """Find every problem of the project file."""
    found = FileFindings("pyproject", FILE_NAME)
    text, values = _read(folder, found)
    if text is None or values is None:
        return found.findings
    project = values.get("project")
    if not isinstance(project, dict):
        found.failed("it has no [project] table, so the environment cannot be installed", (1, 1))
        return found.findings
    if not isinstance(project.get("name"), str):
        found.failed("project.name is missing", find_in(text, "[project]"), f'add `name = "openenv-{manifest.name}"`')
    _dependencies(text, project, found)
    entry = _server_script(text, project, found)
    if entry is not None:
        _points_to(folder, manifest, entry, found, find_in(text, "server =", "server="))
    return found.done("it depends on the runtime, and its `server` script names a function")


def server_script(folder: Path) -> str | None:
    """Return the `server` entry point as it is written, if there is one."""
    _, values = _read(folder, FileFindings("pyproject"))
    scripts = ((values or {}).get("project") or {}).get("scripts") or {}
    entry = scripts.get("server") if isinstance(scripts, dict) else None
    return entry if isinstance(entry, str) else None


def _read(folder: Path, found: FileFindings) -> tuple[str | None, dict[str, Any] | None]:
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        found.failed(f"there is no {FILE_NAME}: uv, pip and the image need it to install the environment")
    except tomllib.TOMLDecodeError as error:
        at = _POSITION.search(str(error))
        at_line: Position = (int(at[1]), int(at[2])) if at else NOWHERE
        found.failed(f"not TOML: {_POSITION.sub('', str(error)).strip()}", at_line)
    except (OSError, UnicodeError, RecursionError) as error:
        found.failed(f"it cannot be read: {error}")
    return None, None


def _dependencies(text: str, project: dict[str, Any], found: FileFindings) -> None:
    wanted = project.get("dependencies", [])
    at = find_in(text, "dependencies =", "dependencies=", "[project]")
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        found.failed("project.dependencies must be a list of texts", at)
        return
    if "dependencies" in (project.get("dynamic") or []):
        found.warned("project.dependencies is dynamic, so it cannot be seen whether the runtime is among them", at)
        return
    names = {re.sub(r"[-_.]+", "-", match[1]).lower() for item in wanted if (match := _NAME.match(item))}
    if not names.intersection(RUNTIMES):
        found.failed("project.dependencies names no runtime: the server could not start", at, 'add "openenv-async"')


def _server_script(text: str, project: dict[str, Any], found: FileFindings) -> str | None:
    scripts = project.get("scripts", {})
    entry = scripts.get("server") if isinstance(scripts, dict) else None
    if entry is None:
        hint = 'add `server = "<package>.server.app:main"` below [project.scripts]'
        found.warned("it has no `server` script, so `uv run server` does not work", find_in(text, "[project"), hint)
        return None
    if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
        at = find_in(text, "server =", "server=")
        found.failed(f"the `server` script must be module:function, not {entry!r}", at)
        return None
    return entry


def _points_to(folder: Path, manifest: Manifest, entry: str, found: FileFindings, at: Position) -> None:
    match = _ENTRY.fullmatch(entry)
    assert match is not None  # _server_script checked it
    file, there = module_file(folder, match[1], manifest.name)
    if not there:
        found.failed(f"the `server` script names {match[1]}, and there is no {file}", at)
        return
    try:
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, SyntaxError, ValueError, RecursionError):
        return  # the checks of the code report it, with its line
    name = match[2].partition(".")[0]
    if name not in _bound(tree):
        hint = f"define `def {name}() -> None:` there, or correct the script"
        found.failed(f"the `server` script names {name}, which {file} does not define", at, hint)


def _bound(tree: ast.Module) -> set[str]:
    """Every name that the module's code binds, at whatever depth of `if` and `try`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
