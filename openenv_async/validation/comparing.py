"""Whether two observations are the same, and where they differ first."""

from __future__ import annotations

import os
from typing import Any

from openenv_async.results import StepResult

_LONGEST = 40


def difference(one: Any, other: Any, path: str = "observation") -> str | None:
    """Name the first place at which two values differ; None when they are the same, NaN included."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                return f"{path}.{key} is there only once"
        return next((found for key in one if (found := difference(one[key], other[key], f"{path}.{key}"))), None)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return f"{path} has {len(one)} items and then {len(other)}"
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for at, (a, b) in pairs if (found := difference(a, b, f"{path}[{at}]"))), None)
    if hasattr(one, "tobytes") and hasattr(other, "tobytes"):
        same = getattr(one, "shape", None) == getattr(other, "shape", None) and one.tobytes() == other.tobytes()
        return None if same else f"{path} has other values"
    if hasattr(one, "tobytes") or hasattr(other, "tobytes"):
        return f"{path} is a {type(one).__name__} and then a {type(other).__name__}"
    if one == other or (one != one and other != other):
        return None
    if isinstance(one, str) and isinstance(other, str) and max(len(one), len(other)) > _LONGEST:
        # Of long texts, the place where they part.
        start = max(0, len(os.path.commonprefix([one, other])) - _LONGEST // 2)
        one, other = one[start : start + _LONGEST], other[start : start + _LONGEST]
        return f"{path} has {one!r} and then {other!r} at character {start}"
    return f"{path} is {_short(one)} and then {_short(other)}"


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
