"""`openenv.yaml`: what an environment's folder says of itself.

Owns reading and checking it; a problem names the file and the line. Fields are
OpenEnv's. `cli.targets` finds the folder; other commands read the same object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openenv_async.cli.errors import CommandFailed

FILE_NAME = "openenv.yaml"
DEFAULT_APP = "server.app:app"
DEFAULT_PORT = 8000
SPEC_VERSION = 1

_APP = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A checked `openenv.yaml`."""

    path: Path
    """The file itself, absolute."""

    name: str
    """The environment's name, as its package is called."""

    app: str = DEFAULT_APP
    """Where the ASGI app is, as `module:attribute`, seen from the folder."""

    port: int = DEFAULT_PORT
    """The port it wants."""

    spec_version: int = SPEC_VERSION
    version: str | None = None
    description: str | None = None
    type: str | None = None
    runtime: str | None = None

    extra: Mapping[str, Any] = field(default_factory=dict)
    """Every other key, as it stands in the file."""

    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    """The line of each key, counted from 1."""

    @property
    def folder(self) -> Path:
        """The environment's folder."""
        return self.path.parent

    def at(self, key: str) -> str:
        """Where a key stands: `file:line`, or the file alone when the key is not in it."""
        return _at(self.path, self.lines.get(key))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a folder.

    Raises:
        CommandFailed: there is none, it cannot be read, or a value in it cannot be used.
    """
    path = folder.absolute() / FILE_NAME
    node, values = _parse(path)
    lines = _lines(path, node)
    problem = _Problems(path, lines)
    known = {
        "name": problem.text(values, "name", required=True),
        "app": problem.text(values, "app") or DEFAULT_APP,
        "port": problem.port(values),
        "spec_version": problem.spec_version(values),
        "version": problem.text(values, "version", numbers=True),
        "description": problem.text(values, "description"),
        "type": problem.text(values, "type"),
        "runtime": problem.text(values, "runtime"),
    }
    if not _APP.fullmatch(known["app"]):
        raise problem("app", f"app must be module:attribute, e.g. {DEFAULT_APP}, not {known['app']!r}")
    extra = {key: value for key, value in values.items() if key not in known}
    return Manifest(path=path, extra=extra, lines=lines, **known)


def _parse(path: Path) -> tuple[yaml.MappingNode, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandFailed(
            f"{shown(path.parent)} has no {FILE_NAME}: give the folder of an environment (`openenv init` makes one), "
            "a .py file, module:app, or gym:ENV_ID"
        ) from None
    except (OSError, UnicodeError) as error:
        raise CommandFailed(f"{shown(path)} cannot be read: {error}") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise CommandFailed(f"{_at(path, mark.line + 1 if mark else None)}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CommandFailed(f"{shown(path)}: not YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise CommandFailed(f"{_at(path, 1)}: must hold `key: value` lines, at least `name:`")
    return node, values


def _lines(path: Path, node: yaml.MappingNode) -> dict[str, int]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if str(key.value) in lines:
            # YAML lets the last one win without a word.
            raise CommandFailed(f"{_at(path, line)}: {key.value} is already given at line {lines[str(key.value)]}")
        lines[str(key.value)] = line
    return lines


class _Problems:
    """Reads single values and makes the error that names their line."""

    def __init__(self, path: Path, lines: dict[str, int]) -> None:
        self._path = path
        self._lines = lines

    def __call__(self, key: str, message: str) -> CommandFailed:
        return CommandFailed(f"{_at(self._path, self._lines.get(key))}: {message}")

    def text(self, values: dict[str, Any], key: str, *, required: bool = False, numbers: bool = False) -> Any:
        value = values.get(key)
        if value is None and not required:
            return None
        if numbers and isinstance(value, (int, float)):
            return str(value)  # `version: 0.1` is a number to YAML
        if not isinstance(value, str) or not value.strip():
            wrong = f"not {value!r}" if value is not None else "and is missing"
            raise self(key, f"{key} must be a text, {wrong}")
        return value.strip()

    def port(self, values: dict[str, Any]) -> int:
        value = values.get("port", DEFAULT_PORT)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
            raise self("port", f"port must be a number from 0 to 65535, not {value!r}")
        return value

    def spec_version(self, values: dict[str, Any]) -> int:
        value = values.get("spec_version", SPEC_VERSION)
        if value != SPEC_VERSION or isinstance(value, bool):
            raise self(
                "spec_version", f"spec_version must be {SPEC_VERSION}, the one this version reads, not {value!r}"
            )
        return SPEC_VERSION


def shown(path: Path) -> str:
    """The path as the user would write it: from the working folder where that is shorter."""
    path = path.absolute()
    try:
        short = str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
    return str(path) if short == "." else short


def _at(path: Path, line: int | None) -> str:
    return f"{shown(path)}:{line}" if line else shown(path)
