"""`openenv.core.utils`: addresses and coroutines run from anywhere; and the clients' modes, options and JSON values."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import re
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_MODES = ("simulation", "production")


def run_async_safely(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop runs already: then in a thread, while that loop waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coro)
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(coro))
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=work, name="openenv run_async_safely")
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


def convert_to_ws_url(url: str) -> str:
    """Return the WebSocket form of an address: `http` becomes `ws`, `https` `wss`, no scheme at all `ws`."""
    trimmed = url.rstrip("/")
    scheme, separator, rest = trimmed.partition("://")
    if separator and scheme in _SCHEMES:
        return f"{_SCHEMES[scheme]}://{rest}"
    return f"ws://{trimmed}"


def hf_space_subdomain(repo_id: str) -> str:
    """Return the name of the Space `org/name` in the Hub's registry and in its `hf.space` addresses."""
    return re.sub("[^a-z0-9]", "-", repo_id.lower())


def find_mode(given: str | None) -> str:
    """Return the communication mode: the argument, else `OPENENV_CLIENT_MODE`, else simulation.

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


def accepted(function: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that a function, or a class's constructor, accepts."""
    parameters = inspect.signature(function).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}


def json_default(value: Any) -> Any:
    """Return a JSON form of a value that `json` refuses: an array, a model, a dataclass.

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
