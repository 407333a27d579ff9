"""What a client is told when it is made, and what may stand in its messages."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Mapping
from typing import Any

_MODES = ("simulation", "production")


def find_mode(given: str | None) -> str:
    """Settle the communication mode: the argument, else `OPENENV_CLIENT_MODE`, else simulation.

    Raises:
        ValueError: there is no such mode.
    """
    mode = (os.environ.get("OPENENV_CLIENT_MODE", "simulation") if given is None else given).lower()
    if mode not in _MODES:
        raise ValueError(
            f"Invalid mode: '{mode}'. Must be 'simulation' or 'production'. "
            "Set via constructor parameter or OPENENV_CLIENT_MODE environment variable."
        )
    return mode


def with_headers(headers: Mapping[str, str] | None, defaults: Mapping[str, str] | None) -> dict[str, str] | None:
    """Join the headers of both names, `headers` first where they differ."""
    if headers is None and defaults is None:
        return None
    return dict(defaults or {}) | dict(headers or {})


def taken(cls: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Give those of the options that a class's constructor takes; a subclass may have one of its own."""
    parameters = inspect.signature(cls).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}


def plain(value: Any) -> Any:
    """Give a form that JSON has for what `json` refuses: arrays, models, dataclasses.

    Raises:
        TypeError: there is none.
    """
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "tolist"):  # numpy's arrays and scalars, torch's tensors
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
