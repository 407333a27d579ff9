"""Converts exceptions to the errors that a peer receives.

`describe` returns what a peer may see of any exception. An `EnvError` is sent with its
code and fields; anything else is a bug in the runtime: it is logged here with its
traceback and sent as "internal error" with an id that is also in the log.
"""

from __future__ import annotations

import logging
import math
import secrets
from typing import Any

import msgspec

from openenv_async.errors import EnvError

logger = logging.getLogger("openenv_async")

MOST_TEXT = 32 * 1024
"""Characters of an exception's text, or of a detail, that a peer gets; the log has all of it."""

_INT64 = range(-(2**63), 2**64)


class WireError(msgspec.Struct, frozen=True):
    """What a peer sees of an error."""

    code: str
    message: str
    details: dict[str, Any]


def describe(exc: BaseException) -> WireError:
    """Return what a peer may see of an exception.

    Args:
        exc: an `EnvError`, or any other exception of the runtime.
    """
    if isinstance(exc, EnvError):
        # An author's subclass may not have called the constructor of `EnvError`.
        details = {printable(key): plain(value) for key, value in vars(exc).get("details", {}).items()}
        details["fault"], details["retryable"] = exc.fault, exc.retryable
        return WireError(exc.code, _cut(printable(vars(exc).get("message", type(exc).__name__))), details)
    error_id = new_error_id()
    logger.error("a bug in the runtime [error %s]", error_id, exc_info=exc)
    return WireError(
        EnvError.code, f"internal error of the server (error id {error_id} in its log)", {"error_id": error_id}
    )


def new_error_id() -> str:
    """Return a short random id, under which the log has an error in full."""
    return secrets.token_hex(4)


def safe_text(exc: BaseException) -> str:
    """Return an exception's own text, even when its `__str__` raises or is not text."""
    try:
        return _cut(printable(str(exc)))
    except BaseException as broken:  # an author's __str__ may raise anything, SystemExit included
        return f"<{type(exc).__name__} whose text cannot be printed: {type(broken).__name__}>"


def printable(text: str) -> str:
    r"""Replace lone surrogates by `\udXXX`, so that every wire can carry the text."""
    # Not text.encode: a subclass of str may have one of its own.
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def _cut(text: str) -> str:
    more = len(text) - MOST_TEXT
    return text if more <= 0 else f"{text[:MOST_TEXT]}... ({more:,} more characters)"


def plain(value: Any, depth: int = 4) -> Any:
    """Reduce a detail to values that both wires carry; any other value becomes its type's name."""
    try:
        return _plain(value, depth)
    except Exception:  # an author's value may raise when it is read
        return f"<{type(value).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _cut(printable(value))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, dict):
        return {_key(key): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    return f"<{type(value).__name__}>"


def _key(key: object) -> str:
    try:
        return printable(str(key))
    except Exception:  # as in plain
        return f"<{type(key).__name__}>"
