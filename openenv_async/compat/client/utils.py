"""`openenv.core.utils`: addresses, and coroutines run from anywhere."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


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
    """Give the WebSocket form of an address: `http` becomes `ws`, `https` `wss`, no scheme at all `ws`."""
    trimmed = url.rstrip("/")
    scheme, separator, rest = trimmed.partition("://")
    if separator and scheme in _SCHEMES:
        return f"{_SCHEMES[scheme]}://{rest}"
    return f"ws://{trimmed}"


def hf_space_subdomain(repo_id: str) -> str:
    """Give the name that the Hub's registry and its `hf.space` addresses have for the Space `org/name`."""
    return re.sub("[^a-z0-9]", "-", repo_id.lower())
