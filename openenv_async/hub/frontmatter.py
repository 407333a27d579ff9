"""The front matter of a README, which makes a repository a Space.

Knows the keys that a Space of an environment needs, and adds them to a README. The
author's own lines stay as they are, comments too; only missing or unusable values
change. Files are not touched.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from openenv_async.hub.failures import UnusableFile

FENCE = "---"
TAG = "openenv"
WEB_PATH = "/web"

COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_FACES = ("🎯", "🧩", "🎲", "🧭", "🪁", "🧪", "🚀", "🌱")


@dataclass(frozen=True, slots=True)
class Readme:
    """A README that the Hub accepts."""

    text: str
    changes: tuple[str, ...]
    """The keys that were added or replaced; empty when it was right as it was."""


def repair_readme(text: str | None, *, name: str, port: int, interface: bool, shown: str = "README.md") -> Readme:
    """Add front matter to a README, or complete the one it has.

    Args:
        text: the author's README; `None` when there is none.
        name: the environment's.
        port: where its server listens in the container.
        interface: whether the Space shows the web interface.
        shown: what the file is called in errors.

    Raises:
        UnusableFile: its front matter cannot be read. It is not replaced, because the author's values would be
            lost.
    """
    if text is None:
        text = f"# {_title(name)}\n\nAn environment for reinforcement learning, served by openenv.\n"
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    block, body, found = _split(text, shown)
    values = _values(block, shown) if found else {}
    wanted = _wanted(values, name, port, interface)
    changes = tuple(key for key in {**values, **wanted} if values.get(key) != wanted.get(key))
    if found and not changes:
        return Readme(text, ())
    block = _edited(block, wanted, changes) if found else _dumped(wanted)
    gap = "" if found else "\n"
    return Readme(f"{FENCE}\n{block}{FENCE}\n{gap}{body}", changes)


def _wanted(values: Mapping[str, Any], name: str, port: int, interface: bool) -> dict[str, Any]:
    # Chosen by the name and not at random, so that an environment always has the same README.
    pick = zlib.crc32(name.encode())
    wanted = dict(values)
    _set(wanted, "title", _title(name), isinstance(values.get("title"), str))
    _set(wanted, "emoji", _FACES[pick % len(_FACES)], isinstance(values.get("emoji"), str))
    _set(wanted, "colorFrom", COLORS[pick % len(COLORS)], values.get("colorFrom") in COLORS)
    _set(wanted, "colorTo", COLORS[(pick + 3) % len(COLORS)], values.get("colorTo") in COLORS)
    wanted["sdk"] = "docker"  # the only kind of Space that runs such a server
    own_port = values.get("app_port")
    _set(wanted, "app_port", port, isinstance(own_port, int) and not isinstance(own_port, bool))
    if interface:
        _set(wanted, "base_path", WEB_PATH, isinstance(values.get("base_path"), str))
    elif values.get("base_path") == WEB_PATH:
        del wanted["base_path"]  # the Space's page would answer 404
    tags = values.get("tags")
    tags = [tags] if isinstance(tags, str) else tags if isinstance(tags, list) else []
    wanted["tags"] = tags if TAG in tags else [*tags, TAG]
    return wanted


def _set(wanted: dict[str, Any], key: str, value: object, usable: bool) -> None:
    if not usable:
        wanted[key] = value


def _title(name: str) -> str:
    words = name.removesuffix("_env").replace("_", " ").replace("-", " ").split()
    return " ".join(word.capitalize() for word in words) or name


def _split(text: str, shown: str) -> tuple[str, str, bool]:
    """Split a README into its front matter, the rest, and whether there was front matter."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return "", text, False
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() == FENCE:
            block = "".join(f"{line}\n" for line in lines[1:index])
            return block, "\n".join(lines[index + 1 :]), True
    raise UnusableFile(f"{shown}:1: the front matter begins with {FENCE} and never ends: close it with another {FENCE}")


def _values(block: str, shown: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(block)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 2 if mark else 1  # below the fence, counted from 1
        raise UnusableFile(f"{shown}:{line}: the front matter is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnusableFile(f"{shown}: the front matter is not YAML: {str(error).splitlines()[0]}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UnusableFile(f"{shown}:2: the front matter must hold `key: value` lines")
    return values


def _edited(block: str, wanted: Mapping[str, Any], changes: tuple[str, ...]) -> str:
    """Replace the lines of the keys that change, in place, and add the new keys below."""
    lines = block.splitlines(keepends=True)
    node = yaml.compose(block, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return _dumped(wanted)
    begins = [key.start_mark.line for key, _ in node.value]
    texts = "".join(lines[: begins[0]]) if begins else ""
    for index, (key, value) in enumerate(node.value):
        own = lines[begins[index] : begins[index + 1] if index + 1 < len(begins) else len(lines)]
        if key.value not in changes:
            texts += "".join(own)
            continue
        texts += _dumped({key.value: wanted[key.value]}) if key.value in wanted else ""
        texts += "".join(own[_height(key, value) :])  # comments and empty lines before the next key
    known = {key.value for key, _ in node.value}
    texts += _dumped({key: wanted[key] for key in changes if key not in known and key in wanted})
    if _reads_as(texts, wanted):
        return texts
    return _dumped(wanted)  # anchors or a repeated key, which cannot be edited line by line


def _height(key: yaml.Node, value: yaml.Node) -> int:
    end = value.end_mark
    lines = end.line - key.start_mark.line
    return max(1, lines + (end.column > 0))


def _reads_as(block: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(block) == wanted)
    except yaml.YAMLError:
        return False


def _dumped(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)
