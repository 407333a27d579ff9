"""Whether something is a JSON Schema: checks the parts of the specification that models produce.

Problems are located by JSON pointers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})

_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_SINGLE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_DEEPEST = 64


def schema_problems(schema: Any) -> list[str]:
    """Return every problem, each with its place in the schema."""
    return list(_walk(schema, schema, "#", 0))


def follow(root: Any, ref: str) -> Any:
    """Return what a `$ref` inside the same document points to.

    Raises:
        LookupError: nothing is there, or it points to another document.
    """
    if not ref.startswith("#"):
        raise LookupError(f"{ref} is another document")
    node = root
    for part in ref[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            node = node[int(part)] if isinstance(node, list) else node[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise LookupError(f"{ref} points to nothing") from None
    return node


def _walk(schema: Any, root: Any, at: str, depth: int) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{at}: a schema must be an object, not {type(schema).__name__}"
        return
    if depth > _DEEPEST:
        yield f"{at}: nested deeper than {_DEEPEST}"
        return
    yield from _keywords(schema, root, at)
    for where, part in _parts(schema):
        if isinstance(part, str):
            yield f"{at}/{where}: {part}"
        else:
            yield from _walk(part[0], root, f"{at}/{where}", depth + 1)


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, tuple[Any] | str]]:
    """Yield every schema inside this one with its place, or a problem in words where there should be one."""
    for key in _LISTS:
        parts = schema.get(key, ())
        if key in schema and (not isinstance(parts, list) or not parts):
            yield key, "must be a list that is not empty"
            continue
        yield from ((f"{key}/{number}", (part,)) for number, part in enumerate(parts))
    for key in _MAPS:
        parts = schema.get(key, {})
        if not isinstance(parts, dict):
            yield key, "must be an object"
            continue
        yield from ((f"{key}/{name}", (part,)) for name, part in parts.items())
    yield from ((key, (schema[key],)) for key in _SINGLE if key in schema)


def _keywords(schema: dict[str, Any], root: Any, at: str) -> Iterator[str]:
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if not isinstance(kind, str) or kind not in TYPES:
            yield f"{at}/type: {kind!r} is not a JSON Schema type"
    if not isinstance(schema.get("enum", [None]), list) or not schema.get("enum", [None]):
        yield f"{at}/enum: must be a list that is not empty"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield f"{at}/required: must be a list of names"
    yield from _bounds(schema, at)
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            yield f"{at}/pattern: is not a regular expression: {error}"
    if "$ref" in schema:
        try:
            follow(root, str(schema["$ref"]))
        except LookupError as error:
            yield f"{at}/$ref: {error}"


def _bounds(schema: dict[str, Any], at: str) -> Iterator[str]:
    for key in _NUMBERS:
        value = schema.get(key, 0)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            yield f"{at}/{key}: must be a number, not {value!r}"
    for key in _COUNTS:
        value = schema.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield f"{at}/{key}: must be a whole number of 0 or more, not {value!r}"
