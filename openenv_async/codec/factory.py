"""Chooses and caches the codec of a class; its decoders are built once per process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from openenv_async.codec import encoding
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.pydantic_codec import PydanticCodec, is_pydantic
from openenv_async.codec.struct_codec import StructCodec
from openenv_async.errors import InvalidPayload


def is_untyped(cls: Any) -> bool:
    """Return whether a user's class means plain values: None, `dict` or `Any`."""
    return cls is None or cls is dict or cls is Any


class UntypedCodec(ModelCodec[Any]):
    """Codec of plain values: decodes to dicts (for `Any`, to any value) and encodes anything."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self._objects = cls is not Any

    def decode_msgpack(self, data: Buffer) -> Any:
        value = encoding.decode_any_msgpack(data)
        return value if type(value) is dict else self.from_builtins(value)

    def decode_json(self, data: Buffer | str) -> Any:
        value = encoding.decode_any_json(data)
        return value if type(value) is dict else self.from_builtins(value)

    def from_builtins(self, value: Any) -> Any:
        # Decoders return most dicts without this: asking an abstract class costs as much as the whole decoding.
        if self._objects and not isinstance(value, Mapping):
            text = f"expected `object`, got `{type(value).__name__}`"
            raise InvalidPayload(f"Invalid message: {text}", errors=[{"type": "dict_type", "loc": [], "msg": text}])
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {}, "additionalProperties": True} if self._objects else {}


T = TypeVar("T")

_cache: dict[tuple[Any, bool], ModelCodec[Any]] = {}


@overload
def codec_for(cls: None, *, ignore_unknown: bool = False) -> ModelCodec[Any]: ...
@overload
def codec_for(cls: type[T] | None, *, ignore_unknown: bool = False) -> ModelCodec[T]: ...
def codec_for(cls: Any, *, ignore_unknown: bool = False) -> ModelCodec[Any]:
    """Return the codec of a class, built once.

    Args:
        cls: a msgspec Struct, dataclass, TypedDict, pydantic model, any other type that
            msgspec knows (a tagged union), or None, `dict` or `Any` for plain values.
        ignore_unknown: take a dataclass or TypedDict with keys it does not have; by default they are refused,
            as nothing may be dropped silently. A Struct's or pydantic model's own setting decides for those.

    Raises:
        UsageError: a codec cannot be made for the class; the text says why.
    """
    key = (cls, ignore_unknown)
    found = _cache.get(key)
    if found is None:
        found = _cache.setdefault(key, _build(cls, ignore_unknown))
    return found


def _build(cls: Any, ignore_unknown: bool) -> ModelCodec[Any]:
    if is_untyped(cls):
        return UntypedCodec(cls)
    if is_pydantic(cls):
        return PydanticCodec(cls)
    return StructCodec(cls, ignore_unknown=ignore_unknown)
