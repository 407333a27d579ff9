"""Exceptions on their way to the wire, in one place.

`describe` gives what a peer may see of any exception. An error of ours travels
with its code and fields; anything else is a bug in the runtime: it is logged
here with its traceback and travels as "internal error" with an id to find it by.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

import msgspec

from openenv_async.errors import EnvError

logger = logging.getLogger("openenv_async")

_PLAIN = (str, int, float, bool, type(None))


class Description(msgspec.Struct, frozen=True):
    """What a peer sees of an error."""

    code: str
    message: str
    details: dict[str, Any]


def describe(exc: BaseException) -> Description:
    """Turn an exception into what may travel.

    Args:
        exc: an `EnvError`, or whatever else escaped from the runtime.
    """
    if isinstance(exc, EnvError):
        details = {key: plain(value) for key, value in exc.details.items()}
        details["fault"], details["retryable"] = exc.fault, exc.retryable
        return Description(exc.code, printable(exc.message), details)
    error_id = new_error_id()
    logger.error("a bug in the runtime [error %s]", error_id, exc_info=exc)
    return Description(
        EnvError.code, f"internal error of the server (error id {error_id} in its log)", {"error_id": error_id}
    )


def new_error_id() -> str:
    """Give a short random name under which the log shows an error in full."""
    return secrets.token_hex(4)


def safe_text(exc: BaseException) -> str:
    """Give an exception's own text, even when its `__str__` raises or is not text."""
    try:
        text = str(exc)
    except BaseException as broken:  # an author's __str__ may raise anything, SystemExit included
        return f"<{type(exc).__name__} whose text cannot be printed: {type(broken).__name__}>"
    return printable(text)


def printable(text: str) -> str:
    r"""Replace lone surrogates by `\udXXX`, so that every wire can carry the text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any, depth: int = 4) -> Any:
    """Reduce a detail to values that both wires carry; what is neither becomes its type's name."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, _PLAIN):
        return value
    if depth and isinstance(value, dict):
        return {printable(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    return f"<{type(value).__name__}>"
