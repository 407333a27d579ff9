"""pydantic models, when the user imported pydantic.

Owns their validation: Python-mode, as OpenEnv does it, over values that `pydantic_codec`
has first brought into the shape which JSON took from them. Writing is in
`pydantic_interop`, so that the JSON is OpenEnv's.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_args, get_origin

import msgspec

from openenv_async.codec import decode_errors, encoding, hooks, json_schema, pydantic_interop
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import UnencodableValue

Repair = Callable[[Any], Any]


def repair_of(cls: Any) -> tuple[Repair | None, bool]:
    """Plan a class's repair, and tell whether any field in it has an alias."""
    plan = _Plan()
    return plan.of(cls), plan.aliased


class _Fields:
    """Repairs a dict, field by field."""

    def __init__(self) -> None:
        self.repairs: dict[str, Repair] = {}
        self.computed: tuple[str, ...] = ()

    def __call__(self, value: Any) -> Any:
        if type(value) is not dict:
            return value
        value = dict(value)
        for name in self.computed:
            # Written for whoever reads the wire; the model works it out again and may forbid it.
            value.pop(name, None)
        for name, repair in self.repairs.items():
            if name in value:
                value[name] = repair(value[name])
        return value


class _Plan:
    def __init__(self) -> None:
        self.known: dict[Any, Repair | None] = {}
        self.aliased = False

    def of(self, annotation: Any) -> Repair | None:
        origin = get_origin(annotation) or annotation
        args = get_args(annotation)
        if origin is typing.Annotated:
            return self.of(args[0])
        if origin in (typing.Union, types.UnionType):
            return _first([repair for arg in args if (repair := self.of(arg)) is not None])
        if not isinstance(origin, type):
            return None
        if origin.__module__.partition(".")[0] == "numpy":
            return _through_hook(annotation)
        if issubclass(origin, msgspec.Struct):
            return _struct(annotation)
        if issubclass(origin, (list, tuple, dict)) and not typing.is_typeddict(origin):
            return self.container(origin, args)
        return self.fields(origin)

    def container(self, origin: type, args: tuple[Any, ...]) -> Repair | None:
        if not args:
            return None
        if issubclass(origin, tuple) and args[-1] is not ...:
            return _items([self.of(arg) for arg in args])
        item = self.of(args[0] if issubclass(origin, tuple) else args[-1])
        if item is None:
            return None
        return _values(item) if issubclass(origin, dict) else _each(item)

    def fields(self, cls: Any) -> Repair | None:
        if cls in self.known:
            return self.known[cls]
        named = self.annotations(cls)
        if named is None:
            return None
        # Known before its fields are looked at: a model may contain itself.
        plan = self.known[cls] = _Fields()
        plan.computed = tuple(getattr(cls, "__pydantic_computed_fields__", None) or _computed(cls))
        for name, annotation in named.items():
            repair = self.of(annotation)
            if repair is not None:
                plan.repairs[name] = repair
        if not plan.computed and all(repair is plan for repair in plan.repairs.values()):
            self.known[cls] = None
        return self.known[cls]

    def annotations(self, cls: Any) -> dict[str, Any] | None:
        if pydantic_interop.is_model_class(cls) and hasattr(cls, "model_fields"):
            named = {}
            for name, field in cls.model_fields.items():
                named[name] = field.annotation
                for alias in {field.alias, field.validation_alias} - {None}:
                    self.aliased = True
                    if isinstance(alias, str):
                        named[alias] = field.annotation
            return named
        if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls):
            try:
                return typing.get_type_hints(cls)
            except Exception:
                # A name that cannot be resolved is pydantic's to complain about.
                return None
        return None


def _computed(cls: Any) -> tuple[str, ...]:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    return tuple(decorators.computed_fields) if decorators is not None else ()


def _through_hook(annotation: Any) -> Repair:
    def repair(value: Any) -> Any:
        if value is None:
            return None
        try:
            return hooks.decode_hook(annotation, value)
        except (ValueError, TypeError) as exc:
            # An array of the wrong dtype would pass pydantic's check of its class.
            return value if isinstance(value, (list, str, int, float, dict)) else str(exc)

    return repair


def _struct(annotation: Any) -> Repair:
    def repair(value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        try:
            return msgspec.convert(value, annotation, dec_hook=hooks.decode_hook, str_keys=True)
        except msgspec.ValidationError:
            return value

    return repair


def _first(repairs: list[Repair]) -> Repair | None:
    def repair(value: Any) -> Any:
        for one in repairs:
            repaired = one(value)
            if repaired is not value:
                return repaired
        return value

    return repair if repairs else None


def _each(item: Repair) -> Repair:
    return lambda value: [item(one) for one in value] if isinstance(value, list) else value


def _values(item: Repair) -> Repair:
    return lambda value: {key: item(one) for key, one in value.items()} if isinstance(value, dict) else value


def _items(items: list[Repair | None]) -> Repair | None:
    def repair(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            return value
        return [one if fix is None else fix(one) for fix, one in zip(items, value, strict=True)]

    return repair if any(fix is not None for fix in items) else None


def is_pydantic(cls: Any) -> bool:
    """Whether pydantic validates it: a model, one of its dataclasses, or a union or list of such."""
    if isinstance(cls, type) and not get_args(cls):
        return pydantic_interop.is_model_class(cls)
    return any(is_pydantic(arg) for arg in get_args(cls))


@lru_cache(maxsize=1024)
def validator(cls: Any) -> Callable[[Any], Any]:
    """Give the function that turns plain values into the class; it raises pydantic's error."""
    if hasattr(cls, "model_validate"):
        validate = cls.model_validate
    else:
        validate = sys.modules["pydantic"].TypeAdapter(cls).validate_python
    repair, aliased = repair_of(cls)
    # OpenEnv writes names and pydantic reads aliases; before 2.11 the two only meet where the author says so.
    options = {"by_alias": True, "by_name": True} if aliased and _version() >= (2, 11) else {}
    if repair is None and not options:
        return validate  # type: ignore[no-any-return]

    def repaired(value: Any) -> Any:
        return validate(value if repair is None else repair(value), **options)

    return repaired


def _version() -> tuple[int, int]:
    major, minor = sys.modules["pydantic"].VERSION.split(".")[:2]
    return int(major), int(minor)


class PydanticCodec(ModelCodec[Any]):
    """The codec of a pydantic model."""

    def __init__(self, cls: Any) -> None:
        """Build the validator on first use: a model may still wait for classes it refers to."""
        self.cls = cls

    def decode_msgpack(self, data: Buffer) -> Any:
        """Decode one value of the native wire."""
        return self.from_builtins(encoding.decode_any_msgpack(data))

    def decode_json(self, data: Buffer | str) -> Any:
        """Decode one value of the JSON wire."""
        return self.from_builtins(encoding.decode_any_json(data))

    def from_builtins(self, value: Any) -> Any:
        """Make a value from plain ones."""
        try:
            return validator(self.cls)(value)
        except BaseException as exc:
            raise decode_errors.invalid(exc) from exc

    def encode_json(self, value: Any) -> bytes:
        """Encode a value for the JSON wire, as OpenEnv does."""
        return encoding.encode_dumped_json(dumped(value))

    def schema(self) -> dict[str, Any]:
        """Give what `model_json_schema()` gives."""
        return json_schema.pydantic_schema(self.cls)


def dumped(value: Any) -> Any:
    """Dump a model; a value of any other kind is given back.

    Raises:
        UnencodableValue: a serializer of the author's raised.
    """
    if not pydantic_interop.is_model_instance(value):
        return value
    try:
        return pydantic_interop.dump(value)
    except BaseException as exc:
        raise UnencodableValue(f"cannot encode {type(value).__qualname__}: {safe_text(exc)}", path="") from exc
