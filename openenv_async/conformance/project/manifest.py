"""`openenv.yaml`: reads it, and finds every problem at once, each with its line and column.

The keys are OpenEnv's. `openenv serve` and the commands that only need the values
refuse the first problem of a key that they read (`cli.manifest`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openenv_async.conformance.findings import NOWHERE, FileFindings, Finding, NotAnEnvironment, Position

FILE_NAME = "openenv.yaml"
DEFAULT_APP = "server.app:app"
DEFAULT_PORT = 8000
SPEC_VERSION = 1

KNOWN = (
    "spec_version",
    "name",
    "version",
    "description",
    "type",
    "runtime",
    "app",
    "port",
    "variables",
    "validation",  # OpenEnv's own validator reads it
)
_APP = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What can be used of an `openenv.yaml`; a value that cannot is replaced by its default."""

    path: Path
    """The file itself, absolute."""

    name: str
    """The environment's name, as its package is called; the folder's name where the file has none."""

    app: str = DEFAULT_APP
    """Where the ASGI app is, as `module:attribute`, relative to the folder."""

    port: int = DEFAULT_PORT
    version: str | None = None
    description: str | None = None
    type: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    """Every key, as it stands in the file."""

    keys: Mapping[str, Position] = field(default_factory=dict, repr=False)
    """Where each key is."""

    positions: Mapping[str, Position] = field(default_factory=dict, repr=False)
    """Where the value of each key begins."""

    @property
    def folder(self) -> Path:
        """The environment's folder."""
        return self.path.parent

    @property
    def module(self) -> str:
        """The app's module, as the file writes it."""
        return self.app.partition(":")[0]


def read_manifest(folder: Path) -> tuple[Manifest, FileFindings]:
    """Read the manifest of a folder, with the problems of the keys that a server reads.

    Raises:
        NotAnEnvironment: there is none, or it cannot be read.
    """
    found = FileFindings("manifest", FILE_NAME)
    path = folder.absolute() / FILE_NAME
    empty = Manifest(path=path, name=folder.name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotAnEnvironment(
            f"{folder} has no {FILE_NAME}, so it is not an environment: "
            "give the folder of one (`openenv init` makes one)"
        ) from None
    except UnicodeDecodeError as error:
        found.failed(f"not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8")
        return empty, found
    except OSError as error:
        raise NotAnEnvironment(f"{path} cannot be read: {error.strerror}") from error
    node, values = _parse(text, found)
    if node is None:
        return empty, found
    keys, positions = _positions(node, found)
    return _Values(found, path, values, keys, positions).manifest(), found


def check_manifest(folder: Path) -> tuple[list[Finding], Manifest]:
    """Read the manifest of a folder and find everything that should be corrected.

    Raises:
        NotAnEnvironment: there is none, or it cannot be read.
    """
    manifest, found = read_manifest(folder)
    for name, at in manifest.keys.items():
        if name not in KNOWN:
            close = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(KNOWN)}"
            found.warned(f"nothing reads the key {name!r}", at, hint)
    if manifest.type not in (None, "space"):
        text = f"type is {manifest.type!r}, and 'space' is the only one there is"
        found.warned(text, manifest.positions["type"], "write `type: space`")
    _check_variables(manifest, found)
    return found.done(f"{FILE_NAME} describes {manifest.name!r}"), manifest


def _check_variables(manifest: Manifest, found: FileFindings) -> None:
    values = manifest.values.get("variables")
    if values is None:
        return
    at = manifest.positions["variables"]
    if not isinstance(values, dict):
        found.failed("variables must hold `KEY: value` lines", at)
        return
    for key, value in values.items():
        if isinstance(value, (dict, list)) or value is None:
            found.failed(f"the variable {key} must have a plain value, not {value!r}", at)


def _parse(text: str, found: FileFindings) -> tuple[yaml.MappingNode | None, dict[Any, Any]]:
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else NOWHERE
        found.failed(f"not YAML: {error.problem or error.context}", at, "correct this; the rest was not read")
        return None, {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found.failed(f"not YAML: {error}")
        return None, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        found.failed("must hold `key: value` lines, at least `name:`", (1, 1))
        return None, {}
    return node, values


def _positions(node: yaml.MappingNode, found: FileFindings) -> tuple[dict[str, Position], dict[str, Position]]:
    """Return where each key is, and where its value begins."""
    keys: dict[str, Position] = {}
    positions: dict[str, Position] = {}
    for key, value in node.value:
        name = str(key.value)
        at = (key.start_mark.line + 1, key.start_mark.column + 1)
        if name in keys:
            # YAML itself lets the last one win silently.
            found.failed(f"{name} is already given at line {keys[name][0]}", at, "keep one of the two")
            continue
        keys[name] = at
        positions[name] = (value.start_mark.line + 1, value.start_mark.column + 1)
    return keys, positions


class _Values:
    """Checks the values and keeps those that can be used."""

    def __init__(
        self,
        found: FileFindings,
        path: Path,
        values: dict[Any, Any],
        keys: dict[str, Position],
        positions: dict[str, Position],
    ) -> None:
        self._found, self._path, self._values = found, path, values
        self._keys, self._positions = keys, positions

    def manifest(self) -> Manifest:
        name = self._text("name", required=True)
        self._check_spec_version()
        self._text("runtime")
        return Manifest(
            path=self._path,
            name=name or self._path.parent.name,
            app=self._app(),
            port=self._port(),
            version=self._text("version", numbers=True),
            description=self._text("description"),
            type=self._text("type"),
            values={str(key): value for key, value in self._values.items()},
            keys=self._keys,
            positions=self._positions,
        )

    def _failed(self, key: str, sentence: str, hint: str | None = None) -> None:
        self._found.failed(sentence, self._positions.get(key, NOWHERE), hint)

    def _text(self, key: str, *, required: bool = False, numbers: bool = False) -> str | None:
        value = self._values.get(key)
        if key not in self._values and required:
            self._found.failed(f"{key} is missing", (1, 1), f"add `{key}: {self._path.parent.name}`")
            return None
        if value is None and not required:
            return None
        if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)  # `version: 0.1` is a number to YAML
        if not isinstance(value, str) or not value.strip():
            quoted = "put quotes around it" if isinstance(value, (bool, int, float)) else None
            self._failed(key, f"{key} must be a text, not {value!r}", quoted)
            return None
        return value.strip()

    def _check_spec_version(self) -> None:
        value = self._values.get("spec_version", SPEC_VERSION)
        if value != SPEC_VERSION or isinstance(value, bool):
            self._failed(
                "spec_version", f"spec_version must be {SPEC_VERSION}, the one this version reads, not {value!r}"
            )

    def _port(self) -> int:
        value = self._values.get("port", DEFAULT_PORT)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
            self._failed("port", f"port must be a number from 0 to 65535, not {value!r}")
            return DEFAULT_PORT
        return value

    def _app(self) -> str:
        value = self._text("app") or DEFAULT_APP
        if not _APP.fullmatch(value):
            self._failed("app", f"app must be module:attribute, e.g. {DEFAULT_APP}, not {value!r}")
            return DEFAULT_APP
        return value
