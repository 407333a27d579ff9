"""Texts for a schema of type `string`: by format, by length, by pattern.

Owns a list of candidates. A pattern is tried against them and against their parts
put together; no regular expression is read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

_FORMATS = {
    "date-time": "2024-01-01T00:00:00Z",
    "date": "2024-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "player@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "base64": "dGV4dA==",
    "byte": "dGV4dA==",
    "path": "file.txt",
    "json-string": "{}",
    "decimal": "1",
}
_WORDS = ("text", "Text", "TEXT", "a", "A", "1", "0", "e4", "e2e4", "a1", "A1", "up", "-", "_", " ", "/", "#", "+")
_ALPHABETS = ("a", "A", "0", "1", "f", "x", " ", "01", "ab", "aA0")
_LONGEST = 64


def text_for(schema: dict[str, Any], variant: int) -> str | bytes | None:
    """Give a text that fits, or None where none was found; bytes where the schema means bytes."""
    if schema.get("contentEncoding") == "base64":
        return b"text"  # the JSON wire makes base64 of it, and the native one takes it as it is
    known = _FORMATS.get(str(schema.get("format")))
    if known is not None and "pattern" not in schema:
        return known
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    pattern = schema.get("pattern")
    if pattern is None:
        return _of_length("text" if not variant else f"text {variant}", least, most)
    fits = re.compile(pattern).search
    found = (text for text in _candidates(pattern, known) if least <= len(text) and (most is None or len(text) <= most))
    matching = itertools.islice((text for text in found if fits(text)), variant + 1)
    return next(iter(list(matching)[-1:]), None)


def _of_length(text: str, least: int, most: int | None) -> str | None:
    if len(text) < least:
        text = (text + " text" * least)[:least]
    if most is not None:
        if most < least:
            return None
        text = text[:most]
    return text


def _candidates(pattern: str, known: str | None) -> Iterator[str]:
    if known is not None:
        yield known
    # What the pattern spells out is likely to be in the text: `^(north|south)$`, `^move:`.
    spelled = re.findall(r"[A-Za-z0-9_-]+", re.sub(r"\\[A-Za-z]|\[[^\]]*\]|\{[^}]*\}", " ", pattern))
    yield from spelled
    yield from _WORDS
    yield from _FORMATS.values()
    for size in range(_LONGEST + 1):
        for letters in _ALPHABETS:
            yield (letters * size)[:size]
    marks = "".join(dict.fromkeys(c for c in pattern if c in ",:;@=/#-_. "))
    for mark, one, other in itertools.product(marks, (*spelled, *_WORDS[:10]), (*spelled, *_WORDS[:10])):
        yield f"{one}{mark}{other}"
        yield f"{one}{mark}{other}{mark}{other}"
