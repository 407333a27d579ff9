"""Which codec a class gets.

Owns the choice and the cache: a class's decoders are built once per process.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from openenv_async.codec.models import ModelCodec
from openenv_async.codec.pydantics import PydanticCodec, is_pydantic
from openenv_async.codec.structs import StructCodec
from openenv_async.codec.untyped import UntypedCodec, is_untyped

T = TypeVar("T")

_cache: dict[tuple[Any, bool], ModelCodec[Any]] = {}


@overload
def codec_for(cls: None, *, ignore_unknown: bool = False) -> ModelCodec[Any]: ...
@overload
def codec_for(cls: type[T] | None, *, ignore_unknown: bool = False) -> ModelCodec[T]: ...
def codec_for(cls: Any, *, ignore_unknown: bool = False) -> ModelCodec[Any]:
    """Give the codec of a class, built once.

    Args:
        cls: a msgspec Struct, dataclass, TypedDict, pydantic model, any other type that
            msgspec knows (a tagged union), or None, `dict` or `Any` for plain values.
        ignore_unknown: take a dataclass or TypedDict with keys it does not have; by default they are refused,
            as nothing may be dropped silently. A Struct's or pydantic model's own setting decides for those.

    Raises:
        UsageError: no codec can be made of the class; the text says why.
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
