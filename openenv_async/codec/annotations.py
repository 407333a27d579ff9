"""What a class's annotations say that msgspec's schema does not.

Owns two readings for `json_schema`: which fields are arrays of which dtype, and a twin
of a class whose defaults are plain values.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, get_args, get_origin

import msgspec

from openenv_async.codec import arrays, encoding, slow_encoder
from openenv_async.errors import UnencodableValue


def array_fields(cls: Any) -> dict[str, dict[str, Any]]:
    """Give, by class name and key, the array annotations with a dtype in a class and those it holds."""
    found: dict[str, dict[str, Any]] = {}
    numpy = arrays.loaded_numpy()
    if numpy is not None:
        _collect(cls, numpy, found, set())
    return found


def _collect(annotation: Any, numpy: Any, found: dict[str, dict[str, Any]], seen: set[Any]) -> Any:
    """Give the array annotation inside this one, if any; note those of the fields of classes."""
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
        # A name that cannot be resolved: msgspec has had its say on it already.
        return {}


def with_plain_defaults(cls: Any) -> Any:
    """Give a Struct like this Struct or dataclass, with defaults as JSON has them."""
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
            fields.append((field.name, hints[field.name], msgspec.field(default=_plain(default), name=key)))
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


def _plain(default: Any) -> Any:
    if slow_encoder.fields_of(default) is not None or isinstance(default, (list, dict, set)):
        return msgspec.UNSET
    try:
        return encoding.jsonable(default)
    except UnencodableValue:
        return msgspec.UNSET
