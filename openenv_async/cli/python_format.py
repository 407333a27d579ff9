"""Sorts and wraps the lines of generated Python that depend on the environment's name.

The template holds each as one line. Names of classes change where an import
sorts and where a line must break, and generated code should pass `ruff check`
and `ruff format --check` under every name, without ruff being there when it is
generated. Knows only the kinds of line that the template has: imports,
`__all__`, and the heads of classes and functions.
"""

from __future__ import annotations

import re

WIDTH = 88
"""ruff's default."""

_IMPORT = re.compile(r"(?P<head>\s*from \S+ import )(?P<names>[\w, ]+)")
_EXPORTS = re.compile(r"__all__ = \[(?P<names>[^\]]+)\]")
_HEAD = re.compile(r"\s*(class|def|async def) .*:")


def arrange(source: str) -> str:
    """Sort and break the lines that need it; everything else stays as it is."""
    return "".join(f"{line}\n" for each in source.splitlines() for line in _arranged(each))


def _arranged(line: str) -> list[str]:
    if match := _IMPORT.fullmatch(line):
        names = _sorted(match["names"])
        line = match["head"] + ", ".join(names)
        if len(line) <= WIDTH:
            return [line]
        indent = _indent(line)
        return [f"{match['head']}(", *(f"{indent}    {name}," for name in names), f"{indent})"]
    if match := _EXPORTS.fullmatch(line):
        names = _sorted(match["names"])
        line = f"__all__ = [{', '.join(names)}]"
        return [line] if len(line) <= WIDTH else ["__all__ = [", *(f"    {name}," for name in names), "]"]
    return _broken(line) if _HEAD.fullmatch(line) else [line]


def _sorted(names: str) -> list[str]:
    return sorted(names.split(", "), key=str.lower)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _broken(line: str) -> list[str]:
    """Break at the first bracket until everything fits, one item to a line where nothing else does."""
    opening = re.search(r"[(\[]", line)
    if len(line) <= WIDTH or opening is None:
        return [line]
    closing = line.rindex(")" if opening[0] == "(" else "]")
    indent = _indent(line)
    body = line[opening.end() : closing]
    inner = f"{indent}    {body}"
    if len(inner) <= WIDTH:
        middle = [inner]
    elif re.search(r"[(\[]", body):
        middle = _broken(inner)
    else:
        middle = [f"{indent}    {item}," for item in body.split(", ")]
    return [line[: opening.end()], *middle, indent + line[closing:]]
