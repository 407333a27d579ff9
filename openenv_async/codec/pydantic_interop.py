"""Recognises pydantic's classes without importing pydantic, and writes and validates their values.

Written are Python values for the native wire, or JSON values as OpenEnv writes them. Validation is Python-mode, as
OpenEnv does it, over values that are first brought into the shape which JSON took from them. `pydantic_codec` uses
it for models, `hooks` for models nested in other values.
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

from openenv_async.codec import slow_encoder


def core() -> Any:
    """Return `pydantic_core`; call it only for a value or class of pydantic's."""
    return sys.modules["pydantic_core"]


def is_model_class(cls: Any) -> bool:
    """Return whether a class is validated by pydantic: a model, or one of its dataclasses."""
    return isinstance(cls, type) and "pydantic_core" in sys.modules and hasattr(cls, "__pydantic_validator__")


def is_model_instance(value: Any) -> bool:
    """Return whether a value is a pydantic model that can write itself."""
    return hasattr(type(value), "__pydantic_serializer__")


def dump(value: Any, exclude: set[str] | None = None) -> Any:
    """Write a model as Python values, by field name, as OpenEnv does before it makes JSON of them."""
    # pydantic warns about a value that was never validated; the caller's log is not the place to check an environment.
    return type(value).__pydantic_serializer__.to_python(value, exclude=exclude, by_alias=False, warnings=False)


def dump_jsonable(value: Any, hook: Callable[[Any], Any]) -> Any:
    """Write a model as JSON's values; see `json_bytes` for how exotic ones look."""
    dumped = dump(value)
    try:
        return core().to_jsonable_python(dumped, by_alias=False, inf_nan_mode="null", fallback=_fallback(hook))
    except Exception:
        # `slow_encoder` names the field, or encodes what pydantic cannot.
        return slow_encoder.flatten(dumped, hook, native=False, text_bytes=True)


def json_bytes(value: Any, hook: Callable[[Any], Any]) -> bytes:
    """Write dumped values as OpenEnv 0.10.0 does: NaN and infinities null, bytes their UTF-8 text.

    Raises:
        Exception: pydantic cannot write it; the caller uses `slow_encoder`.
    """
    written: bytes = core().to_json(value, by_alias=False, inf_nan_mode="null", fallback=_fallback(hook))
    return written


def _fallback(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fallback(value: Any) -> Any:
        if slow_encoder.fields_of(value) is not None:
            return slow_encoder.flatten(value, hook, native=False)
        return hook(value)

    return fallback


Repair = Callable[[Any], Any]
DecodeHook = Callable[[Any, Any], Any]
"""`hooks.decode_hook`, which itself needs `validator`: a model may hold Structs and a Struct models."""


class _FieldsRepair:
    """Repairs a dict, field by field."""

    def __init__(self) -> None:
        self.repairs: dict[str, Repair] = {}
        self.computed: tuple[str, ...] = ()

    def __call__(self, value: Any) -> Any:
        if type(value) is not dict:
            return value
        value = dict(value)
        for name in self.computed:
            # Written for readers of the wire; the model computes it again and may forbid it as an input.
            value.pop(name, None)
        for name, repair in self.repairs.items():
            if name in value:
                value[name] = repair(value[name])
        return value


def without_alias(annotation: Any) -> Any:
    """Return what a `type` alias stands for; numpy's `NDArray` is one from numpy 2.5 on, on Python 3.12."""
    alias = get_origin(annotation) or annotation
    while type(alias).__name__ == "TypeAliasType":  # typing has it from Python 3.12 on
        args = get_args(annotation)
        annotation = alias.__value__[args] if args else alias.__value__
        alias = get_origin(annotation) or annotation
    return annotation


class _RepairPlan:
    """Plans the repair of a class: what brings decoded values into the shape which JSON took from them."""

    def __init__(self, decode_hook: DecodeHook) -> None:
        self.decode_hook = decode_hook
        self.known: dict[Any, Repair | None] = {}
        self.aliased = False

    def of(self, annotation: Any) -> Repair | None:
        annotation = without_alias(annotation)
        origin = get_origin(annotation) or annotation
        args = get_args(annotation)
        if origin is typing.Annotated:
            return self.of(args[0])
        if origin in (typing.Union, types.UnionType):
            return _first([repair for arg in args if (repair := self.of(arg)) is not None])
        if not isinstance(origin, type):
            return None
        if origin.__module__.partition(".")[0] == "numpy":
            return _through_hook(annotation, self.decode_hook)
        if issubclass(origin, msgspec.Struct):
            return _struct(annotation, self.decode_hook)
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
        plan = self.known[cls] = _FieldsRepair()
        plan.computed = tuple(getattr(cls, "__pydantic_computed_fields__", None) or _computed(cls))
        for name, annotation in named.items():
            repair = self.of(annotation)
            if repair is not None:
                plan.repairs[name] = repair
        if not plan.computed and all(repair is plan for repair in plan.repairs.values()):
            self.known[cls] = None
        return self.known[cls]

    def annotations(self, cls: Any) -> dict[str, Any] | None:
        if is_model_class(cls) and hasattr(cls, "model_fields"):
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
                # pydantic reports a name that cannot be resolved.
                return None
        return None


def _computed(cls: Any) -> tuple[str, ...]:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    return tuple(decorators.computed_fields) if decorators is not None else ()


def _through_hook(annotation: Any, decode_hook: DecodeHook) -> Repair:
    def repair(value: Any) -> Any:
        if value is None:
            return None
        try:
            return decode_hook(annotation, value)
        except (ValueError, TypeError) as exc:
            # An array of the wrong dtype would pass pydantic's check of its class.
            return value if isinstance(value, (list, str, int, float, dict)) else str(exc)

    return repair


def _struct(annotation: Any, decode_hook: DecodeHook) -> Repair:
    def repair(value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        try:
            return msgspec.convert(value, annotation, dec_hook=decode_hook, str_keys=True)
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


@lru_cache(maxsize=1024)
def validator(cls: Any, decode_hook: DecodeHook) -> Callable[[Any], Any]:
    """Return the function that turns plain values into the class; it raises pydantic's error."""
    if hasattr(cls, "model_validate"):
        validate = cls.model_validate
    else:
        validate = sys.modules["pydantic"].TypeAdapter(cls).validate_python
    plan = _RepairPlan(decode_hook)
    repair = plan.of(cls)
    # OpenEnv writes names and pydantic reads aliases; before 2.11 the two only meet where the author says so.
    options = {"by_alias": True, "by_name": True} if plan.aliased and _version() >= (2, 11) else {}
    if repair is None and not options:
        return validate  # type: ignore[no-any-return]

    def repaired(value: Any) -> Any:
        return validate(value if repair is None else repair(value), **options)

    return repaired


def _version() -> tuple[int, int]:
    major, minor = sys.modules["pydantic"].VERSION.split(".")[:2]
    return int(major), int(minor)
