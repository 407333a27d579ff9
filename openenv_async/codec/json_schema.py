"""JSON Schema of every kind of class.

Owns how a schema looks: its properties at the top, as pydantic gives them, every
other definition under one `$defs`. A pydantic model's is exactly `model_json_schema()`
unless pydantic has none to give (an array field), which is then described here.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import PurePath
from typing import Any, cast, get_origin

import msgspec

from openenv_async.codec import numpy_coercion, pydantic_interop
from openenv_async.codec.annotations import array_fields, with_plain_defaults
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import UsageError

Schema = dict[str, Any]

_SCALARS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
_REF = "#/$defs/"
_HIDDEN_REF = "x-openenv-ref"
_ANY_ARRAY = {"type": "array", "description": "a numpy array"}


def schema_of(cls: Any) -> Schema:
    """Give the schema of a type that msgspec reads.

    Raises:
        UsageError: a part of it has none.
    """
    try:
        try:
            schema = msgspec.json.schema(cls, schema_hook=_of_custom)
        except TypeError:
            # msgspec has no hook for defaults, such as a numpy scalar.
            schema = msgspec.json.schema(with_plain_defaults(cls), schema_hook=_of_custom)
    except Exception as exc:
        raise UsageError(f"no JSON Schema for {safe_text(cls)}: {safe_text(exc)}") from exc
    schema = _unwrapped(_hoisted(schema))
    for name, fields in array_fields(cls).items():
        # msgspec tells its hook of an array, but not of which dtype.
        owner = schema if schema.get("title") == name else schema.get("$defs", {}).get(name, {})
        for key, described in fields.items():
            if key in owner.get("properties", {}):
                owner["properties"][key] = _replaced(owner["properties"][key], _ANY_ARRAY, _of_array(described))
    return schema


def _replaced(node: Any, old: Schema, new: Schema) -> Any:
    if node == old:
        return new
    if isinstance(node, dict):
        if {**node, **old} == node:
            return {**node, **new}
        return {key: _replaced(value, old, new) for key, value in node.items()}
    return [_replaced(item, old, new) for item in node] if isinstance(node, list) else node


def pydantic_schema(cls: Any) -> Schema:
    """Give what pydantic gives, arrays and Structs included.

    Raises:
        UsageError: a part of it has none.
    """
    pydantic = sys.modules["pydantic"]
    generate: Any = (
        cls.model_json_schema if hasattr(cls, "model_json_schema") else pydantic.TypeAdapter(cls).json_schema
    )
    try:
        schema: Schema = generate()
    except Exception:
        try:
            schema = _hoisted(_rekeyed(generate(schema_generator=_generator()), _HIDDEN_REF, "$ref"))
        except Exception as exc:
            raise UsageError(f"no JSON Schema for {safe_text(cls)}: {safe_text(exc)}") from exc
    return schema


def _of_custom(annotation: Any) -> Schema:
    """Describe a class that msgspec does not know; msgspec calls it."""
    cls = get_origin(annotation) or annotation
    if pydantic_interop.is_model_class(cls):
        return pydantic_schema(annotation)
    if cls is complex:
        return {"type": "string", "description": "a complex number, such as 1+2j"}
    if isinstance(cls, type) and cls.__module__.partition(".")[0] == "numpy":
        return _of_numpy(cls, annotation)
    if isinstance(cls, type) and issubclass(cls, PurePath):
        return {"type": "string", "format": "path"}
    for base, name in ((str, "string"), (int, "integer"), (float, "number")):
        if isinstance(cls, type) and issubclass(cls, base):
            return {"type": name}
    # Any other class would be refused when decoded; the schema says that there is a value.
    return {"description": f"an object of type {getattr(cls, '__qualname__', safe_text(cls))}"}


def _of_numpy(cls: type, annotation: Any) -> Schema:
    numpy = sys.modules["numpy"]
    if issubclass(cls, numpy.ndarray):
        return _of_array(annotation)
    dtype = numpy.dtype(cls)
    return {"type": _SCALARS.get(dtype.kind, "string"), "description": f"numpy {dtype}"}


def _of_array(annotation: Any) -> Schema:
    dtype = numpy_coercion.annotated_dtype(annotation)
    if dtype is None:
        return dict(_ANY_ARRAY)
    return {"type": "array", "description": f"a numpy array of {dtype}", "dtype": str(dtype)}


@lru_cache(maxsize=1)
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """Describes the classes that pydantic only checks with isinstance."""

        def is_instance_schema(self, schema: Any) -> Schema:
            cls = schema["cls"]
            if isinstance(cls, type) and issubclass(cls, msgspec.Struct):
                # pydantic looks every reference up in its own definitions, where these are not yet.
                return cast("Schema", _rekeyed(schema_of(cls), "$ref", _HIDDEN_REF))
            return _of_custom(cls)

        def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
            return {"description": error_info}

    return Generator


def _rekeyed(node: Any, old: str, new: str) -> Any:
    if isinstance(node, list):
        return [_rekeyed(item, old, new) for item in node]
    if not isinstance(node, dict):
        return node
    return {new if key == old else key: _rekeyed(value, old, new) for key, value in node.items()}


def _hoisted(schema: Schema) -> Schema:
    """Move `$defs` of nested schemas to the top, where their references look for them."""
    collected: dict[str, Any] = dict(schema.get("$defs", {}))
    top = {key: _lift(value, collected) for key, value in schema.items() if key != "$defs"}
    done: dict[str, Any] = {}
    while missing := [name for name in collected if name not in done]:
        for name in missing:
            done[name] = _lift(collected[name], collected)
    return {**top, "$defs": done} if done else top


def _lift(node: Any, collected: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_lift(item, collected) for item in node]
    if not isinstance(node, dict):
        return node
    inner = node.get("$defs")
    if isinstance(inner, dict):
        renamed: dict[str, str] = {}
        for name, definition in inner.items():
            free = name
            while free in collected and collected[free] != definition:
                free += "_"
            renamed[name] = free
            collected[free] = definition
        node = {key: value for key, value in node.items() if key != "$defs"}
        if any(old != new for old, new in renamed.items()):
            node = _rereferenced(node, renamed)
            for new in renamed.values():
                collected[new] = _rereferenced(collected[new], renamed)
    found = {key: _lift(value, collected) for key, value in node.items()}
    if found.get("contentEncoding") == "base64":
        found.setdefault("format", "base64")
    return found


def _rereferenced(node: Any, renamed: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_rereferenced(item, renamed) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _rereferenced(value, renamed) for key, value in node.items()}
    ref = found.get("$ref")
    if isinstance(ref, str) and ref.removeprefix(_REF) in renamed:
        found["$ref"] = _REF + renamed[ref.removeprefix(_REF)]
    return found


def _unwrapped(schema: Schema) -> Schema:
    """Put the definition that the top refers to at the top; keep it below too if it refers to itself."""
    ref = schema.get("$ref")
    if not isinstance(ref, str):
        return schema
    name = ref.removeprefix(_REF)
    definitions = dict(schema["$defs"])
    top = definitions[name]
    if not _refers(definitions, ref):
        del definitions[name]
    return {**top, "$defs": definitions} if definitions else dict(top)


def _refers(node: Any, ref: str) -> bool:
    if isinstance(node, list):
        return any(_refers(item, ref) for item in node)
    if isinstance(node, dict):
        return node.get("$ref") == ref or any(_refers(item, ref) for item in node.values())
    # A tagged union's mapping names its targets as plain text.
    return bool(node == ref)
