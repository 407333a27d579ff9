"""Where msgpack values end, found without recursion and without making objects.

For messages that msgspec refuses because something in them is nested too deep:
the frames beside it can still be read, and so can the ids of the request that it
came in. Knows nothing of frames; `batches` asks.
"""

from __future__ import annotations

MOST_VALUES = 250_000
"""Values that are walked over at most: this runs on the event loop, at one or two million a second."""

_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
"""Tag byte to the bytes after it."""

_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_SIZED |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
"""Tag byte to the width of the length after it, and to the bytes that come besides."""

_NESTING = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Tag byte to the width of the count after it, and to the values for each one counted."""


def split_array(message: bytes) -> list[bytes]:
    """Give the bytes of each element of a msgpack array; what follows the array is passed over.

    Raises:
        ValueError: no array, cut short, not msgpack, or more than `MOST_VALUES` values.
    """
    if not message or not (message[0] & 0xF0 == 0x90 or message[0] in (0xDC, 0xDD)):
        raise ValueError("not an array")
    at, count = _header(message, 0)
    parts: list[bytes] = []
    budget = MOST_VALUES
    for _ in range(count):
        start, pending = at, 1
        while pending:
            at, inside = _header(message, at)
            pending += inside - 1
            budget -= 1
            if budget < 0:
                raise ValueError(f"more than {MOST_VALUES} values")
        if at > len(message):
            raise ValueError("cut short")
        parts.append(message[start:at])
    return parts


def _header(message: bytes, at: int) -> tuple[int, int]:
    """Give where the value's head ends, text and numbers included, and how many values are inside it."""
    if at >= len(message):
        raise ValueError("cut short")
    tag = message[at]
    at += 1
    if tag < 0x80 or tag >= 0xE0:
        return at, 0
    if tag < 0xA0:
        return at, tag & 0x0F if tag >= 0x90 else 2 * (tag & 0x0F)
    if tag < 0xC0:
        return at + (tag & 0x1F), 0
    if tag in _FIXED:
        return at + _FIXED[tag], 0
    if tag in _SIZED:
        width, more = _SIZED[tag]
        return at + width + more + int.from_bytes(message[at : at + width]), 0
    if tag in _NESTING:
        width, each = _NESTING[tag]
        return at + width, each * int.from_bytes(message[at : at + width])
    raise ValueError(f"byte {tag:#x} is not msgpack")
