"""Plain values into what a pydantic model's own fields expect.

pydantic asks of an array, a Struct or a numpy scalar only whether it is one already.
Off the wire it is a list, a dict or a number. A repair, planned once per model,
puts the real thing there; models without such fields have none. A value that does
not fit is left for pydantic to refuse, so that the error is pydantic's and names the place.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin

import msgspec

from openenv_async.codec import foreign, hooks

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
        if foreign.is_model_class(cls) and hasattr(cls, "model_fields"):
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
