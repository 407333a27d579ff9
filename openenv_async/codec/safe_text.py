"""`safe_text`: the text of any object, without raising and always valid UTF-8."""

from __future__ import annotations

from typing import Any

MAX_LENGTH = 2000


def safe_text(value: Any) -> str:
    """Return `str(value)`, cut to a bound; for an object whose `__str__` raises, its type's name.

    For an exception without a text it is its type's name, too.
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
