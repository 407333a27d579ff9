"""Anything an author's method or tool may give, as JSON's values."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """Reduce a value as OpenEnv does: models are dumped, objects become their attributes, the rest its text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "__dict__"):
        return {key: plain(item) for key, item in vars(value).items()}
    return str(value)


def split_of(split: Any) -> Any:
    """Give a split's description as `{name, type}`, or as the author made it."""
    if hasattr(split, "model_dump"):
        return split.model_dump()
    if isinstance(split, dict):
        return plain(split)
    known = isinstance(split, str) and split in ("train", "validation", "test")
    return {"name": str(split), "type": split if known else "validation"}
