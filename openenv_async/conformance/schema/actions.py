"""Actions made from a JSON Schema: the same schema always yields the same ones.

The first action has the required fields only, later ones every field, and each takes
another member of an enumeration and another branch of a union. An author's `examples`
are used before anything is made up. A string's pattern is tried against a list of
candidates and their combinations; no regular expression is parsed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

from openenv_async.conformance.schema.problems import follow
from openenv_async.errors import EnvError

_DEEPEST = 24
_SHALLOW = 6
"""Below it a union takes the branch that goes on least, and a list no more than it must."""

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
_LONGEST_TEXT = 64

_TYPE_OF = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class CannotGenerate(EnvError):
    """No value fits, or none was found; the sentence names the field and what would help."""

    code = "CANNOT_GENERATE"
    fault = "task"


def actions(schema: Any, count: int) -> list[Any]:
    """Return `count` actions; the same one may come twice when there are not so many.

    Args:
        schema: of the action, without `schema_problems`.
        count: how many.

    Raises:
        CannotGenerate: not even one can be made.
    """
    return [_Maker(schema, variant).value(schema, "action", 0) for variant in range(count)]


class _Maker:
    """Makes the values of one variant."""

    def __init__(self, root: Any, variant: int) -> None:
        self._root, self._variant = root, variant

    def value(self, schema: Any, path: str, depth: int) -> Any:
        if schema is False:
            raise CannotGenerate(f"{path}: its schema allows nothing")
        if schema is True or not schema:
            return f"text {self._variant}" if depth else {}
        if depth > _DEEPEST:
            raise CannotGenerate(f"{path}: its schema is endless; add a branch that does not contain itself")
        schema = self._resolved(schema, path)
        if "const" in schema:
            return schema["const"]
        for key in ("examples", "enum"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][self._variant % len(schema[key])]
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self._branch(schema, key, path, depth)
        return self._of_type(schema, path, depth)

    def _resolved(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        """Follow references, and put the parts of `allOf` together."""
        for _ in range(_DEEPEST):
            ref = schema.get("$ref")
            if ref is None:
                break
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            found = follow(self._root, str(ref))
            schema = {**found, **beside} if isinstance(found, dict) else beside
        else:
            raise CannotGenerate(f"{path}: its $ref leads in a circle")
        parts = schema.get("allOf")
        if not parts:
            return schema
        whole = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            whole = _merged(whole, self._resolved(part, path) if isinstance(part, dict) else {})
        return whole

    def _branch(self, schema: dict[str, Any], key: str, path: str, depth: int) -> Any:
        branches = schema[key]
        rest = {name: value for name, value in schema.items() if name not in (key, "discriminator", "title")}
        first = self._variant % len(branches)
        problem: CannotGenerate | None = None
        # Null comes last: an action of nulls tests little.
        order = sorted([*branches[first:], *branches[:first]], key=lambda branch: _is_null(branch))
        for branch in order if depth < _SHALLOW else sorted(order, key=lambda each: _size(each)):
            resolved = self._resolved(branch, path) if isinstance(branch, dict) else branch
            try:
                return self.value(_merged(rest, resolved) if isinstance(resolved, dict) else resolved, path, depth + 1)
            except CannotGenerate as error:
                problem = error
        raise problem or CannotGenerate(f"{path}: its schema has no branches")

    def _of_type(self, schema: dict[str, Any], path: str, depth: int) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._array(schema, path, depth)
        if kind == "string":
            text = _text_for(schema, self._variant)
            if text is None:
                wanted = f"pattern {schema['pattern']!r}" if "pattern" in schema else "its length"
                raise CannotGenerate(f"{path}: no text was found for {wanted}; give the field examples in its schema")
            return text
        if kind in ("integer", "number"):
            return self._number(schema, path, whole=kind == "integer")
        return None if kind == "null" else self._variant % 2 == 0

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        made: dict[str, Any] = {}
        for name in dict.fromkeys([*required, *properties]):
            part = properties.get(name, True)
            if name in required:
                made[name] = self.value(part, f"{path}.{name}", depth + 1)
            elif self._variant and not (isinstance(part, dict) and name == "metadata") and depth < 4:
                # An optional field that cannot be made is left out.
                try:
                    made[name] = self.value(part, f"{path}.{name}", depth + 1)
                except CannotGenerate:
                    continue
        extra = schema.get("additionalProperties", True)
        while len(made) < schema.get("minProperties", 0):
            made[f"key{len(made)}"] = self.value(extra, f"{path}.key{len(made)}", depth + 1)
        return made

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        fixed = schema.get("prefixItems") or []
        items = schema.get("items", True)
        made = [self.value(part, f"{path}[{number}]", depth + 1) for number, part in enumerate(fixed)]
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        wanted = max(least, min(most, 1)) if depth < _SHALLOW else least
        variants = itertools.count(self._variant)
        tries = 0
        while len(made) < wanted:
            at = f"{path}[{len(made)}]"
            if items is False or tries > 50 + wanted:
                raise CannotGenerate(f"{at}: its list needs {wanted} different items, and not so many were found")
            tries += 1
            if items is True and "dtype" in schema:
                items = {"type": "number"}  # a numpy array, as this runtime describes it
            each = _Maker(self._root, next(variants)).value(items, at, depth + 1)
            if not (schema.get("uniqueItems") and each in made):
                made.append(each)
        return made

    def _number(self, schema: dict[str, Any], path: str, *, whole: bool) -> int | float:
        least, most = _bounds(schema, whole)
        step = schema.get("multipleOf") or (1 if whole else None)
        start: float = least if least > -math.inf else min(0, most)
        if step:
            start = math.ceil(start / step) * step
        value = start + self._variant * (step or 0.5)
        if value > most:
            span = math.floor((most - start) / step) + 1 if step and most < math.inf else 1
            value = start + (self._variant % max(1, span)) * (step or 0)
        if not least <= value <= most:
            raise CannotGenerate(f"{path}: no number fits its bounds")
        return int(value) if whole else float(value)


def _bounds(schema: dict[str, Any], whole: bool) -> tuple[float, float]:
    least, most = float(schema.get("minimum", -math.inf)), float(schema.get("maximum", math.inf))
    above, below = float(schema.get("exclusiveMinimum", -math.inf)), float(schema.get("exclusiveMaximum", math.inf))
    if whole:
        least = max(least, math.floor(above) + 1 if above > -math.inf else above)
        most = min(most, math.ceil(below) - 1 if below < math.inf else below)
        return least, most
    # Of a range without its ends, values somewhere inside: numbers next to an end are not round.
    upper = min(most, below)
    if above >= least and above > -math.inf:
        least = above + 1 if above + 1 < upper else (above + upper) / 2
    if below <= most and below < math.inf:
        most = (least + below) / 2 if least > -math.inf else below - 1
    return least, most


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        kind = _TYPE_OF.get(type(schema.get("default")), "string")
    return str(kind)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return merged


def _is_null(branch: Any) -> bool:
    return isinstance(branch, dict) and branch.get("type") == "null"


def _size(branch: Any) -> int:
    """A measure of depth, to choose the shallowest branch where depth is running out."""
    return str(branch).count("$ref") * 100 + len(str(branch))


def _text_for(schema: dict[str, Any], variant: int) -> str | bytes | None:
    """Return a text that fits, or None where none was found; bytes where the schema means bytes."""
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
    for size in range(_LONGEST_TEXT + 1):
        for letters in _ALPHABETS:
            yield (letters * size)[:size]
    marks = "".join(dict.fromkeys(c for c in pattern if c in ",:;@=/#-_. "))
    for mark, one, other in itertools.product(marks, (*spelled, *_WORDS[:10]), (*spelled, *_WORDS[:10])):
        yield f"{one}{mark}{other}"
        yield f"{one}{mark}{other}{mark}{other}"
