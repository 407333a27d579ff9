"""Codec of Structs, dataclasses, TypedDicts and every other type that msgspec reads natively.

Each class has a decoder for each wire. When one refuses a message, it is read again with support for values that only
extensions or Python's JSON reader can express; if that fails too, the error is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, get_origin, is_typeddict

import msgspec
from msgspec import inspect

from openenv_async.codec import decode_errors, encoding, hooks, json_schema
from openenv_async.codec.encoding import Buffer
from openenv_async.codec.ext import ext_hook
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import InvalidPayload, UsageError

Fill = Callable[[Any], None]


def filler_of(cls: Any) -> Fill | None:
    """Plan a class's filler."""
    try:
        info = inspect.type_info(cls)
    except Exception:
        # A class that msgspec reads and cannot describe stays as it is decoded.
        return None
    return _Planner().plan(info)


class _Planner:
    def __init__(self) -> None:
        self._open: dict[type, _ObjectFiller] = {}

    def plan(self, info: inspect.Type) -> Fill | None:
        if isinstance(info, (inspect.DataclassType, inspect.StructType)):
            return self._object(info)
        if isinstance(info, (inspect.CollectionType, inspect.DictType)):
            item = self.plan(info.value_type if isinstance(info, inspect.DictType) else info.item_type)
            return _each(item) if item is not None else None
        if isinstance(info, inspect.TupleType):
            return _places([self.plan(item) for item in info.item_types])
        if isinstance(info, inspect.UnionType):
            return self._either(info.types)
        return None

    def _object(self, info: inspect.DataclassType | inspect.StructType) -> Fill | None:
        if (known := self._open.get(info.cls)) is not None:
            return known
        fields = {field.name: field for field in info.fields}
        kept = isinstance(info, inspect.DataclassType) and "__slots__" not in vars(info.cls)
        plain = [n for n, f in fields.items() if kept and not f.required and f.default is not msgspec.NODEFAULT]
        made = self._open[info.cls] = _ObjectFiller(plain)
        for name, field in fields.items():
            inner = self.plan(field.type)
            if inner is not None:
                made.inner.append((name, inner))
        return made if made.needed(set()) else None

    def _either(self, types: Iterable[inspect.Type]) -> Fill | None:
        arms: dict[type, Fill] = {}
        for info in types:
            fill = self.plan(info)
            if fill is not None:
                arms[_class_of(info)] = fill

        def fill_arm(value: Any) -> None:
            arm = arms.get(type(value))
            if arm is not None:
                arm(value)

        return fill_arm if arms else None


class _ObjectFiller:
    """The filler of one dataclass or Struct; may contain itself."""

    def __init__(self, plain: list[str]) -> None:
        self.plain = plain
        self.inner: list[tuple[str, Fill]] = []

    def needed(self, seen: set[int]) -> bool:
        """Return whether it does anything besides calling itself."""
        if id(self) in seen:
            return False
        seen.add(id(self))
        return bool(self.plain) or any(not isinstance(f, _ObjectFiller) or f.needed(seen) for _, f in self.inner)

    def __call__(self, value: Any) -> None:
        if self.plain:
            fields = value.__dict__
            for name in self.plain:
                if name not in fields:
                    fields[name] = getattr(value, name)
        for name, fill in self.inner:
            inside = getattr(value, name)
            if inside is not None and inside is not msgspec.UNSET:
                fill(inside)


def _each(fill: Fill) -> Fill:
    def fill_all(value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value:
            fill(item)

    return fill_all


def _places(fills: list[Fill | None]) -> Fill | None:
    if not any(fills):
        return None

    def fill_places(value: Any) -> None:
        for fill, item in zip(fills, value, strict=False):
            if fill is not None:
                fill(item)

    return fill_places


def _class_of(info: inspect.Type) -> type:
    if isinstance(info, (inspect.DataclassType, inspect.StructType)):
        return info.cls
    if isinstance(info, inspect.DictType):
        return dict
    kinds: dict[type, type] = {inspect.ListType: list, inspect.SetType: set, inspect.FrozenSetType: frozenset}
    return kinds.get(type(info), tuple)


_MAX_QUOTED = 64 * 1024


class StructCodec(ModelCodec[Any]):
    """The codec of a class that msgspec reads: one C call each way in the common case."""

    def __init__(self, cls: Any, *, ignore_unknown: bool = False) -> None:
        """Build the decoders.

        Raises:
            UsageError: msgspec cannot read the class.
        """
        self.cls = cls
        try:
            self._msgpack = msgspec.msgpack.Decoder(cls, dec_hook=hooks.decode_hook, ext_hook=ext_hook)
            self._json = msgspec.json.Decoder(cls, dec_hook=hooks.decode_hook)
        except Exception as exc:
            name = getattr(cls, "__qualname__", None) or safe_text(cls)
            raise UsageError(f"values of {name} cannot travel: {safe_text(exc)}") from exc
        self._known = None if ignore_unknown else _known_keys(cls)
        self._fill = filler_of(cls)
        self._is_class = isinstance(cls, type) and get_origin(cls) is None and not is_typeddict(cls)

    def decode_msgpack(self, data: Buffer) -> Any:
        try:
            value = self._msgpack.decode(data)
            keys = None if self._known is None else _KEYS_MSGPACK.decode(data)
        except BaseException as exc:
            return self._reread_msgpack(data, exc)
        if keys is not None:
            self._refuse_unknown(keys)
        if self._fill is not None:
            self._fill(value)
        return value

    def decode_json(self, data: Buffer | str) -> Any:
        try:
            value = self._json.decode(data)
            keys = None if self._known is None else _KEYS_JSON.decode(data)
        except BaseException as exc:
            return self._reread_json(data, exc)
        if keys is not None:
            self._refuse_unknown(keys)
        if self._fill is not None:
            self._fill(value)
        return value

    def from_builtins(self, value: Any) -> Any:
        if self._is_class and isinstance(value, self.cls):
            return value
        return self._convert(value)

    def schema(self) -> dict[str, Any]:
        return json_schema.schema_of(self.cls)

    def _convert(self, value: Any) -> Any:
        try:
            converted = msgspec.convert(value, self.cls, dec_hook=hooks.decode_hook, str_keys=True)
        except BaseException as exc:
            raise decode_errors.invalid(exc, lambda: value) from exc
        if self._known is not None and isinstance(value, dict):
            self._refuse_unknown(value)
        if self._fill is not None:
            self._fill(converted)
        return converted

    def _reread_msgpack(self, data: Buffer, exc: BaseException) -> Any:
        if isinstance(exc, msgspec.ValidationError) and "got `ext`" in str(exc):
            # An integer over 64 bits or a text with a lone surrogate where the class says int or str.
            return self._convert(encoding.decode_any_msgpack(data))
        read = (lambda: encoding.decode_any_msgpack(data)) if _length(data) <= _MAX_QUOTED else None
        raise decode_errors.invalid(exc, read) from exc

    def _reread_json(self, data: Buffer | str, exc: BaseException) -> Any:
        if isinstance(exc, msgspec.DecodeError) and not isinstance(exc, msgspec.ValidationError):
            # NaN, Infinity and lone surrogates: not JSON, but Python's writer writes them and OpenEnv accepts them.
            lenient = encoding.read_leniently(data)
            if lenient is not None:
                return self._convert(lenient)
        read = (lambda: encoding.decode_any_json(data)) if _length(data) <= _MAX_QUOTED else None
        raise decode_errors.invalid(exc, read) from exc

    def _refuse_unknown(self, keys: dict[str, Any]) -> None:
        assert self._known is not None
        unknown = next((key for key in keys if key not in self._known), None)
        if unknown is not None:
            name = safe_text(unknown)
            text = f"Object contains unknown field `{name}`"
            raise InvalidPayload(
                f"Invalid message: o{text[1:]}",
                path=name,
                errors=[{"type": "extra_forbidden", "loc": [name], "msg": text}],
            )


_KEYS_MSGPACK = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_KEYS_JSON = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _known_keys(cls: Any) -> frozenset[str] | None:
    """Return the keys of a class that cannot be declared to refuse others."""
    plain: Any = get_origin(cls) or cls
    if is_typeddict(plain):
        return frozenset(plain.__required_keys__ | plain.__optional_keys__)
    if isinstance(plain, type) and dataclasses.is_dataclass(plain):
        return frozenset(field.name for field in dataclasses.fields(plain))
    return None


def _length(data: Buffer | str) -> int:
    return len(data) if isinstance(data, str) else memoryview(data).nbytes
