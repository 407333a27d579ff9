"""Texts of other people's objects, made harmless.

Owns `safe_text`, which neither raises nor gives text that UTF-8 cannot hold.
"""

from __future__ import annotations

from typing import Any

MAX_LENGTH = 2000


def safe_text(value: Any) -> str:
    """Give `str(value)`, cut to a bound; for an object whose `__str__` raises, its type's name.

    An exception without a text gives its type's name.
    """
    try:
        text = str(value)
    except BaseException:
        return f"<unprintable {type(value).__name__}>"
    if not text and isinstance(value, BaseException):
        text = type(value).__name__
    if len(text) > MAX_LENGTH:
        text = f"{text[:MAX_LENGTH]}..."
    # A lone surrogate would make the error itself unencodable.
    # And a subclass of str may have an `encode` of its own.
    return str.encode(text, "utf-8", "backslashreplace").decode()
