"""Whether two observations are the same, and where they differ first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from openenv_async.results import StepResult

_LONGEST = 40

Skip = Callable[[str], bool]
"""Says of a path whether what stands there is passed over."""


class Difference(NamedTuple):
    """Where two values differ, and how: `what` is in words, `{one}` and `{other}` being the values'."""

    path: str
    one: str
    other: str
    what: str = "is {one} and then {other}"

    @property
    def sentence(self) -> str:
        """Say it of two values that came one after the other."""
        return f"{self.path} {self.what.format(one=self.one, other=self.other)}"


def find_difference(one: Any, other: Any, path: str = "observation", skip: Skip | None = None) -> Difference | None:
    """Find the first place at which two values differ; None when they are the same, NaN included.

    Args:
        one: the first value.
        other: the other one.
        path: where they stand.
        skip: of the places that may differ.
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
            found = Difference(where, first, second, "is there only once")
        if found:
            return found
    return None


def _of_plain(one: Any, other: Any, path: str) -> Difference:
    if isinstance(one, str) and isinstance(other, str) and max(len(one), len(other)) > _LONGEST:
        # Of long texts, the place where they part.
        start = max(0, len(os.path.commonprefix([one, other])) - _LONGEST // 2)
        one, other = one[start : start + _LONGEST], other[start : start + _LONGEST]
        return Difference(path, repr(one), repr(other), f"has {{one}} and then {{other}} at character {start}")
    return Difference(path, _short(one), _short(other))


def difference(one: Any, other: Any, path: str = "observation") -> str | None:
    """Name the first place at which two values differ; None when they are the same, NaN included."""
    found = find_difference(one, other, path)
    return found.sentence if found else None


def different_result(one: StepResult[Any], other: StepResult[Any]) -> str | None:
    """Name the first place at which two results differ."""
    return (
        difference(one.observation, other.observation)
        or difference(one.reward, other.reward, "reward")
        or difference(one.done, other.done, "done")
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
