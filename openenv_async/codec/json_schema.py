"""Makes the JSON Schema of every kind of class.

A schema has its properties at the top, as pydantic's do, and every other definition under one `$defs`. A pydantic
model's is exactly `model_json_schema()` unless pydantic cannot make one (an array field).
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from functools import lru_cache
from pathlib import PurePath
from typing import Any, cast, get_args, get_origin

import msgspec

from openenv_async.codec import arrays, encoding, numpy_coercion, pydantic_interop, slow_encoder
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import UnencodableValue, UsageError

Schema = dict[str, Any]

_SCALARS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
_REF = "#/$defs/"
_HIDDEN_REF = "x-openenv-ref"
_ANY_ARRAY = {"type": "array", "description": "a numpy array"}


def schema_of(cls: Any) -> Schema:
    """Return the schema of a type that msgspec reads.

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
        # msgspec passes the class of an array to its hook, but not the dtype.
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
    """Return pydantic's schema, arrays and Structs included.

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
        """Schema generator for the classes that pydantic only checks with isinstance."""

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


def array_fields(cls: Any) -> dict[str, dict[str, Any]]:
    """Return, by class name and key, the array annotations with a dtype in a class and those it holds."""
    found: dict[str, dict[str, Any]] = {}
    numpy = arrays.loaded_numpy()
    if numpy is not None:
        _collect(cls, numpy, found, set())
    return found


def _collect(annotation: Any, numpy: Any, found: dict[str, dict[str, Any]], seen: set[Any]) -> Any:
    """Return the array annotation inside this one, if any; note those of the fields of classes."""
    annotation = pydantic_interop.without_alias(annotation)
    origin = get_origin(annotation) or annotation
    if origin is numpy.ndarray:
        return annotation if get_args(annotation) else None
    if isinstance(origin, type) and _has_fields(origin):
        if origin not in seen:
            seen.add(origin)
            keys = _keys_of(origin)
            for name, hint in _hints(origin).items():
                if (array := _collect(hint, numpy, found, seen)) is not None:
                    found.setdefault(origin.__name__, {})[keys.get(name, name)] = array
        return None
    inside = [_collect(arg, numpy, found, seen) for arg in get_args(annotation)]
    return next((array for array in inside if array is not None), None)


def _has_fields(cls: type) -> bool:
    return issubclass(cls, msgspec.Struct) or dataclasses.is_dataclass(cls) or typing.is_typeddict(cls)


def _keys_of(cls: Any) -> dict[str, str]:
    if issubclass(cls, msgspec.Struct):
        return dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    return {}


def _hints(cls: Any, **options: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, **options)
    except Exception:
        # A name that cannot be resolved; msgspec has accepted the class already.
        return {}


def with_plain_defaults(cls: Any) -> Any:
    """Return a Struct like this Struct or dataclass, with defaults as JSON has them."""
    hints = _hints(cls, include_extras=True)
    fields: list[Any] = []
    for field in msgspec.structs.fields(cls) if issubclass(cls, msgspec.Struct) else dataclasses.fields(cls):
        key = getattr(field, "encode_name", field.name)
        default = field.default
        if default is msgspec.NODEFAULT or default is dataclasses.MISSING:
            plain = not getattr(field, "required", False) and _has_factory(field)
            fields.append(
                (field.name, hints[field.name], msgspec.field(default=msgspec.UNSET, name=key))
                if plain
                else (field.name, hints[field.name], msgspec.field(name=key))
            )
        else:
            fields.append((field.name, hints[field.name], msgspec.field(default=_plain_default(default), name=key)))
    config = getattr(cls, "__struct_config__", None)
    return msgspec.defstruct(
        cls.__name__,
        fields,
        kw_only=True,
        namespace={"__doc__": cls.__doc__},
        tag=config.tag if config else None,
        tag_field=config.tag_field if config else None,
        forbid_unknown_fields=bool(config and config.forbid_unknown_fields),
    )


def _has_factory(field: Any) -> bool:
    return field.default_factory not in (msgspec.NODEFAULT, dataclasses.MISSING)


def _plain_default(default: Any) -> Any:
    if slow_encoder.fields_of(default) is not None or isinstance(default, (list, dict, set)):
        return msgspec.UNSET
    try:
        return encoding.jsonable(default)
    except UnencodableValue:
        return msgspec.UNSET
