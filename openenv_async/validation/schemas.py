"""Whether something is a JSON Schema: the parts of the specification that models produce.

Owns the walk over keywords and the problems' places as JSON pointers. `generating`
makes values of schemas that passed.
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
    """Name every problem, each with its place in the schema."""
    return list(_walk(schema, schema, "#", 0))


def follow(root: Any, ref: str) -> Any:
    """Give what a `$ref` inside the same document points to.

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
    for key in _LISTS:
        if key in schema:
            parts = schema[key]
            if not isinstance(parts, list) or not parts:
                yield f"{at}/{key}: must be a list that is not empty"
                continue
            for number, part in enumerate(parts):
                yield from _walk(part, root, f"{at}/{key}/{number}", depth + 1)
    for key in _MAPS:
        if key in schema:
            if not isinstance(schema[key], dict):
                yield f"{at}/{key}: must be an object"
                continue
            for name, part in schema[key].items():
                yield from _walk(part, root, f"{at}/{key}/{name}", depth + 1)
    for key in _SINGLE:
        if key in schema:
            yield from _walk(schema[key], root, f"{at}/{key}", depth + 1)


def _keywords(schema: dict[str, Any], root: Any, at: str) -> Iterator[str]:
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        for kind in kinds:
            if not isinstance(kind, str) or kind not in TYPES:
                yield f"{at}/type: {kind!r} is none of JSON Schema's types"
    if "enum" in schema and (not isinstance(schema["enum"], list) or not schema["enum"]):
        yield f"{at}/enum: must be a list that is not empty"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield f"{at}/required: must be a list of names"
    for key in _NUMBERS:
        value = schema.get(key, 0)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            yield f"{at}/{key}: must be a number, not {value!r}"
    for key in _COUNTS:
        value = schema.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield f"{at}/{key}: must be a whole number of 0 or more, not {value!r}"
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            yield f"{at}/pattern: is no regular expression: {error}"
    if "$ref" in schema:
        try:
            follow(root, str(schema["$ref"]))
        except LookupError as error:
            yield f"{at}/$ref: {error}"
