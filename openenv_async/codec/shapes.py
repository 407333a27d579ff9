"""Which fields an observation's class has, and how to take reward and the rest out of one.

Owns what is found out once per concrete class, on both sides: `shape_of` for an
object being sent, `declared` for the class that a reader wants back.
"""

from __future__ import annotations

import dataclasses
import operator
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_origin

import msgspec

from openenv_async.codec import foreign
from openenv_async.errors import UnencodableValue, UsageError

RESULT = ("reward", "done", "truncated", "metadata")
"""Fields that the trainer's `StepResult` shows."""

_TAKEN = ("reward", "done", "truncated")

Split = tuple[Any, Any, Any, Any, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How to take an observation of one class apart: body, reward, done, truncated, metadata."""

    split: Callable[[Any], Split]
    pydantic: bool = False


@lru_cache(maxsize=1024)
def shape_of(cls: Any) -> Shape:
    """Give the shape of a concrete class.

    Raises:
        UnencodableValue: its objects have no fields, and so are no observation.
    """
    if issubclass(cls, msgspec.Struct):
        if cls.__struct_config__.array_like:
            raise no_object(cls, "travels as an array (array_like=True)")
        return Shape(_split_struct(cls))
    if issubclass(cls, Mapping):
        return Shape(_split_mapping)
    if hasattr(cls, "__pydantic_serializer__"):
        return Shape(_split_model, pydantic=True)
    if dataclasses.is_dataclass(cls):
        return Shape(_split_fields(tuple(field.name for field in dataclasses.fields(cls))))
    if hasattr(cls, "__attrs_attrs__"):
        return Shape(_split_fields(tuple(field.name for field in cls.__attrs_attrs__)))
    raise no_object(cls)


def no_object(cls: Any, why: str = "has none") -> UnencodableValue:
    """Say that an object of this class is no observation."""
    return UnencodableValue(
        f"observation: must have named fields, as Structs, dataclasses, pydantic models and dicts do; "
        f"`{cls.__qualname__}` {why}",
        path="observation",
    )


def _result_of(obs: Any) -> tuple[Any, Any, Any, Any]:
    return (
        getattr(obs, "reward", None),
        getattr(obs, "done", False),
        getattr(obs, "truncated", False),
        getattr(obs, "metadata", None),
    )


def _split_struct(cls: type[msgspec.Struct]) -> Callable[[Any], Split]:
    pairs = zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
    config = cls.__struct_config__
    fixed = {} if config.tag_field is None else {config.tag_field: config.tag}
    may_be_unset = any(default is msgspec.UNSET for default in cls.__struct_defaults__)
    plain = _split_pairs([(key, name) for key, name in pairs if name not in _TAKEN])

    def split(obs: Any) -> Split:
        body = plain(obs)
        if may_be_unset:
            body = {key: value for key, value in body.items() if value is not msgspec.UNSET}
        return fixed | body if fixed else body, *_result_of(obs)

    return split


def _split_fields(names: tuple[str, ...]) -> Callable[[Any], Split]:
    plain = _split_pairs([(name, name) for name in names if name not in _TAKEN])
    return lambda obs: (plain(obs), *_result_of(obs))


def _split_pairs(pairs: list[tuple[str, str]]) -> Callable[[Any], dict[str, Any]]:
    keys = [key for key, _ in pairs]
    if not keys:
        return lambda obs: {}
    get = operator.attrgetter(*(name for _, name in pairs))
    if len(keys) == 1:
        return lambda obs: {keys[0]: get(obs)}
    return lambda obs: dict(zip(keys, get(obs), strict=True))


def _split_mapping(obs: Mapping[Any, Any]) -> Split:
    body = dict(obs)
    reward, done, truncated = body.pop("reward", None), body.pop("done", False), body.pop("truncated", False)
    return body, reward, done, truncated, body.get("metadata")


def _split_model(obs: Any) -> Split:
    # `truncated` stays in: OpenEnv's server takes only these two out of a pydantic observation, and its clients know.
    body = foreign.dump(obs, {"reward", "done"})
    return body, *_result_of(obs)


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """The fields of the class that a reader wants."""

    keys: dict[str, str]
    """Name, and key on the wire."""

    reward_if_null: Any
    """What stands for a null reward: None where the class takes it, else NaN, or UNSET for the class's default."""

    attributes: frozenset[str] = frozenset()
    """Fields that every object has as attributes; none for a TypedDict."""

    def completed(self, body: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Put reward and the rest back, where the class has them and the body does not."""
        full = dict(body)
        for name, value in values.items():
            key = self.keys.get(name)
            if key is None or key in full:
                continue
            if name == "reward" and value is None:
                value = self.reward_if_null
            if value is not msgspec.UNSET and not (name == "metadata" and value is None):
                full[key] = value
        return full


def declared(cls: Any) -> Declared | None:
    """Give the fields of a reader's class; None for an untyped reader or a union of classes.

    Raises:
        UsageError: objects of the class have no names for their fields.
    """
    plain: Any = get_origin(cls) or cls
    if not isinstance(plain, type) or plain is dict:
        return None
    if issubclass(plain, msgspec.Struct):
        if plain.__struct_config__.array_like:
            raise UsageError(
                f"an observation must be an object; {plain.__qualname__} travels as an array (array_like=True)"
            )
        required = len(plain.__struct_fields__) - len(plain.__struct_defaults__)
        optional = {
            name
            for name, default in zip(plain.__struct_fields__[required:], plain.__struct_defaults__, strict=True)
            if default is not msgspec.NODEFAULT
        }
        keys = dict(zip(plain.__struct_fields__, plain.__struct_encode_fields__, strict=True))
        return Declared(keys, _null(plain, optional), frozenset(keys))
    if foreign.is_model_class(plain) and hasattr(plain, "model_fields"):
        fields: dict[str, Any] = plain.model_fields
        optional = {name for name, field in fields.items() if not field.is_required()}
        return Declared({name: name for name in fields}, _null(plain, optional), frozenset(fields))
    if dataclasses.is_dataclass(plain):
        found = dataclasses.fields(plain)
        missing = dataclasses.MISSING
        optional = {f.name for f in found if f.default is not missing or f.default_factory is not missing}
        keys = {field.name: field.name for field in found}
        return Declared(keys, _null(plain, optional), frozenset(keys))
    if typing.is_typeddict(plain):
        keyed: Any = plain
        names = keyed.__required_keys__ | keyed.__optional_keys__
        return Declared({name: name for name in names}, _null(plain, set(keyed.__optional_keys__)))
    return None


def _null(cls: Any, optional: set[str]) -> Any:
    try:
        annotation = typing.get_type_hints(cls).get("reward", Any)
    except Exception:
        return None
    if annotation is Any or annotation is None or _takes_none(annotation):
        return None
    # A null in a reward that cannot be null was NaN or infinite before JSON.
    return msgspec.UNSET if "reward" in optional else float("nan")


def _takes_none(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _takes_none(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(_takes_none(arg) for arg in typing.get_args(annotation))
    return annotation in (Any, None, type(None), object)
