"""Reads a Dockerfile: its instructions, their lines, and the images it starts from.

Only comments, continued lines and `ARG` before `FROM` are interpreted; the engine
checks the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.*?)\s*$")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::?-(?P<default>[^}]*))?\}|(?P<plain>\w+))")
_FROM = re.compile(r"(?P<flags>(?:--\S+\s+)*)(?P<image>\S+)(?:\s+as\s+(?P<stage>\S+))?\s*", re.IGNORECASE)
BASE_ARGUMENT = "BASE_IMAGE"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its first line, its name in capitals, and the rest on one line."""

    line: int
    word: str
    rest: str


@dataclass(frozen=True)
class Dockerfile:
    """The text of a Dockerfile."""

    text: str

    @cached_property
    def directives(self) -> dict[str, str]:
        """Directives such as `# syntax=...`, which count only at the very top."""
        found: dict[str, str] = {}
        for line in self.text.splitlines():
            match = _DIRECTIVE.fullmatch(line.strip())
            if match is None:
                break
            found[match[1].lower()] = match[2]
        return found

    @cached_property
    def instructions(self) -> list[Instruction]:
        """Every instruction, in order. The lines of a heredoc count as instructions without meaning."""
        escape = self.directives.get("escape", "\\")
        found: list[Instruction] = []
        begun: int | None = None
        parts: list[str] = []
        for number, raw in enumerate(self.text.splitlines(), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue  # also between continued lines
            begun = begun or number
            parts.append(line.removesuffix(escape).strip())
            if not line.endswith(escape):
                found.append(_instruction(begun, " ".join(parts)))
                begun, parts = None, []
        if begun is not None:
            found.append(_instruction(begun, " ".join(parts)))
        return found

    def declares(self, argument: str) -> bool:
        """Return whether there is an `ARG` of this name."""
        return any(each.word == "ARG" and _name(each.rest) == argument for each in self.instructions)

    def images(self, arguments: Mapping[str, str]) -> list[str]:
        """Return the images that it starts from, with build arguments filled in; its own stages are left out."""
        values: dict[str, str] = {}
        stages: set[str] = set()
        found: list[str] = []
        for each in self.instructions:
            if each.word == "ARG" and not found:
                name, _, default = each.rest.partition("=")
                values[name] = arguments.get(name, default.strip("\"'"))
            elif each.word == "FROM" and (match := _FROM.fullmatch(each.rest)):
                image = _expanded(match["image"], values)
                if image.lower() not in stages and image != "scratch" and image not in found:
                    found.append(image)
                if match["stage"]:
                    stages.add(match["stage"].lower())
        return found

    def on_base(self, image: str) -> Dockerfile:
        """Return the same Dockerfile on another base image, for every stage that starts where the first one does."""
        froms = [each for each in self.instructions if each.word == "FROM"]
        first = next((match["image"] for each in froms if (match := _FROM.fullmatch(each.rest))), None)
        if first is None:
            return self
        lines = self.text.splitlines(keepends=True)
        for each in froms:
            match = _FROM.fullmatch(each.rest)
            if match and match["image"] == first:
                lines[each.line - 1] = lines[each.line - 1].replace(first, image, 1)
        return Dockerfile("".join(lines))


def _instruction(line: int, text: str) -> Instruction:
    word, _, rest = text.partition(" ")
    return Instruction(line, word.upper(), rest.strip())


def _name(rest: str) -> str:
    return rest.partition("=")[0].strip()


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda m: values.get(m["braced"] or m["plain"]) or m["default"] or "", text)
