"""Actions made from a schema: the same schema always gives the same ones.

Owns which value stands for which schema. The first action has the required fields
only, later ones every field, and each takes another member of an enumeration and
another branch of a union. An author's `examples` are taken before anything is
made up. `texts` makes the strings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from openenv_async.errors import EnvError
from openenv_async.validation.schemas import follow
from openenv_async.validation.texts import text_for

_DEEPEST = 24
_SHALLOW = 6
"""Below it a union takes the branch that goes on least, and a list no more than it must."""

_TYPE_OF = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class CannotGenerate(EnvError):
    """No value fits, or none could be found; the sentence names the field and what would help."""

    code = "CANNOT_GENERATE"
    fault = "task"


def actions(schema: Any, count: int) -> list[Any]:
    """Make so many actions.

    Args:
        schema: of the action; one that `schema_problems` has nothing to say about.
        count: how many; the same one may come twice when there are not so many.

    Raises:
        CannotGenerate: not even one can be made.
    """
    return list(itertools.islice(each_action(schema), count))


def each_action(schema: Any) -> Iterator[Any]:
    """Make actions without end.

    Raises:
        CannotGenerate: none can be made.
    """
    for variant in itertools.count():
        yield _Maker(schema, variant).value(schema, "action", 0)


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
            raise CannotGenerate(f"{path}: its schema has no end; give one branch of it without itself")
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
        # What says "nothing" comes last: an action of nulls tells little.
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
            text = text_for(schema, self._variant)
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
                raise CannotGenerate(f"{at}: its list wants {wanted} different items, and not so many were found")
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
    # Of a range without its ends, values somewhere inside: those next to an end are no round numbers.
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
    """Tell deep branches from shallow ones, where the depth is running out."""
    return str(branch).count("$ref") * 100 + len(str(branch))
