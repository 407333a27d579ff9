"""Whether two values are the same, and the first place at which they differ."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

_LONGEST = 40

Skip = Callable[[str], bool]
"""Returns whether the value at a path is ignored."""


class Difference(NamedTuple):
    """Where two values differ, and how: `what` is a text with `{one}` and `{other}`."""

    path: str
    one: str
    other: str
    what: str = "is {one} and then {other}"

    @property
    def sentence(self) -> str:
        """The difference of two values that came one after the other, in words."""
        return f"{self.path} {self.what.format(one=self.one, other=self.other)}"


def find_difference(one: Any, other: Any, path: str = "observation", skip: Skip | None = None) -> Difference | None:
    """Return the first place at which two values differ; None when they are the same, NaN included.

    Args:
        one: the first value.
        other: the other one.
        path: the name of the values.
        skip: returns whether the values at a path may differ.
    """
    if skip is not None and skip(path):
        return None
    if isinstance(one, dict) and isinstance(other, dict):
        return _in_dicts(one, other, path, skip)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return Difference(path, f"{len(one)} items", f"{len(other)} items", "has {one} and then {other}")
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for at, (a, b) in pairs if (found := find_difference(a, b, f"{path}[{at}]", skip))), None)
    if hasattr(one, "tobytes") and hasattr(other, "tobytes"):
        same = getattr(one, "shape", None) == getattr(other, "shape", None) and one.tobytes() == other.tobytes()
        return None if same else Difference(path, _short(one), _short(other), "has other values")
    if hasattr(one, "tobytes") or hasattr(other, "tobytes"):
        return Difference(path, f"a {type(one).__name__}", f"a {type(other).__name__}")
    if one == other or (one != one and other != other):
        return None
    return _of_plain(one, other, path)


def _in_dicts(one: dict[Any, Any], other: dict[Any, Any], path: str, skip: Skip | None) -> Difference | None:
    for key in (*one, *(key for key in other if key not in one)):
        where = f"{path}.{key}"
        if key in one and key in other:
            found = find_difference(one[key], other[key], where, skip)
        elif skip is not None and skip(where):
            found = None
        else:
            first, second = (_short(side[key]) if key in side else "absent" for side in (one, other))
            found = Difference(where, first, second, "is missing in one of them")
        if found:
            return found
    return None


def _of_plain(one: Any, other: Any, path: str) -> Difference:
    if isinstance(one, str) and isinstance(other, str) and max(len(one), len(other)) > _LONGEST:
        # Of long texts, only the part where they begin to differ.
        start = max(0, len(os.path.commonprefix([one, other])) - _LONGEST // 2)
        one, other = one[start : start + _LONGEST], other[start : start + _LONGEST]
        return Difference(path, repr(one), repr(other), f"has {{one}} and then {{other}} at character {start}")
    return Difference(path, _short(one), _short(other))


def difference(one: Any, other: Any, path: str = "observation") -> str | None:
    """Return in words the first place at which two values differ; None when they are the same, NaN included."""
    found = find_difference(one, other, path)
    return found.sentence if found else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
