"""`openenv.yaml`, every problem at once, each with its line and column.

Owns the rules for its keys as `openenv serve` has them, and words them for somebody
who wants to mend the file. Commands that only need the values read them with
`cli.manifest`, which stops at the first problem.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openenv_async.validation.checks import Check, NotAnEnvironment
from openenv_async.validation.findings import NOWHERE, Findings, Place

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
_TEXTS = ("description", "type", "runtime")


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestFacts:
    """What of the manifest can be used, whatever is wrong with the rest."""

    name: str
    """The folder's name where the file has none."""

    app: str = DEFAULT_APP
    port: int = DEFAULT_PORT
    version: str | None = None
    description: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    """Where the value of each key begins."""

    @property
    def module(self) -> str:
        """The app's module, as the file writes it."""
        return self.app.partition(":")[0]


def check_manifest(folder: Path) -> tuple[list[Check], ManifestFacts]:
    """Read the manifest of a folder and judge it.

    Raises:
        NotAnEnvironment: there is none.
    """
    found = Findings("manifest", FILE_NAME)
    facts = ManifestFacts(name=folder.name)
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotAnEnvironment(
            f"{folder} has no {FILE_NAME}, so it is no environment: give the folder of one (`openenv init` makes one)"
        ) from None
    except UnicodeDecodeError as error:
        found.failed(f"it is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8")
        return found.checks, facts
    except OSError as error:
        raise NotAnEnvironment(f"{folder / FILE_NAME} cannot be read: {error.strerror}") from error
    node, values = _parse(text, found)
    if node is None:
        return found.checks, facts
    places = _keys(node, found)
    facts = _Judge(found, values, places, folder).facts()
    return found.done(f"{FILE_NAME} describes {facts.name!r}"), facts


def _parse(text: str, found: Findings) -> tuple[yaml.MappingNode | None, dict[Any, Any]]:
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else NOWHERE
        found.failed(f"it is not YAML: {error.problem or error.context}", at, "mend this place; the rest is unread")
        return None, {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found.failed(f"it is not YAML: {error}")
        return None, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        found.failed("it must hold `key: value` lines, at least `name:`", (1, 1))
        return None, {}
    return node, values


def _keys(node: yaml.MappingNode, found: Findings) -> dict[str, Place]:
    """Give the place of each value; note keys given twice and keys that nothing reads."""
    places: dict[str, Place] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value)
        at = (key.start_mark.line + 1, key.start_mark.column + 1)
        if name in lines:
            found.failed(f"{name} is already given at line {lines[name]}", at, "keep one of the two")
            continue
        lines[name] = at[0]
        places[name] = (value.start_mark.line + 1, value.start_mark.column + 1)
        if name not in KNOWN:
            close = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(KNOWN)}"
            found.warned(f"nothing reads the key {name!r}", at, hint)
    return places


class _Judge:
    """Judges the values and keeps those that can be used."""

    def __init__(self, found: Findings, values: dict[Any, Any], places: dict[str, Place], folder: Path) -> None:
        self._found, self._values, self._places, self._folder = found, values, places, folder

    def facts(self) -> ManifestFacts:
        name = self._text("name", required=True)
        self._spec_version()
        version = self._text("version", numbers=True)
        texts = {key: self._text(key) for key in _TEXTS}
        kind = texts["type"]
        if kind is not None and kind != "space":
            self._warned("type", f"type is {kind!r}, and 'space' is the only one there is", "write `type: space`")
        self._variables()
        return ManifestFacts(
            name=name or self._folder.name,
            app=self._app(),
            port=self._port(),
            version=version,
            description=texts["description"],
            values={str(key): value for key, value in self._values.items()},
            places=self._places,
        )

    def _failed(self, key: str, sentence: str, hint: str | None = None) -> None:
        self._found.failed(sentence, self._places.get(key, NOWHERE), hint)

    def _warned(self, key: str, sentence: str, hint: str | None = None) -> None:
        self._found.warned(sentence, self._places.get(key, NOWHERE), hint)

    def _text(self, key: str, *, required: bool = False, numbers: bool = False) -> str | None:
        value = self._values.get(key)
        if value is None and key not in self._values:
            if required:
                self._found.failed(f"{key} is missing", (1, 1), f"add `{key}: {self._folder.name}`")
            return None
        if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)  # `version: 0.1` is a number to YAML
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip():
            quoted = "put quotes around it" if isinstance(value, (bool, int, float)) else None
            self._failed(key, f"{key} must be a text, not {value!r}", quoted)
            return None
        return value.strip()

    def _spec_version(self) -> None:
        value = self._values.get("spec_version", SPEC_VERSION)
        if value != SPEC_VERSION or isinstance(value, bool):
            self._failed("spec_version", f"spec_version must be {SPEC_VERSION}, the one that is read, not {value!r}")

    def _port(self) -> int:
        value = self._values.get("port", DEFAULT_PORT)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
            self._failed("port", f"port must be a number from 0 to 65535, not {value!r}")
            return DEFAULT_PORT
        return value

    def _app(self) -> str:
        value = self._text("app") or DEFAULT_APP
        if not _APP.fullmatch(value):
            self._failed("app", f"app must be module:attribute, not {value!r}", f"e.g. `app: {DEFAULT_APP}`")
            return DEFAULT_APP
        return value

    def _variables(self) -> None:
        values = self._values.get("variables")
        if values is None:
            return
        if not isinstance(values, dict):
            self._failed("variables", "variables must hold `KEY: value` lines")
            return
        for key, value in values.items():
            if isinstance(value, (dict, list)) or value is None:
                self._failed("variables", f"the variable {key} must have a plain value, not {value!r}")
