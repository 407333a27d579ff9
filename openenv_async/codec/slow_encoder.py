"""Encodes a value one element at a time, after a C encoder has refused it.

It either converts the value to something every encoder takes (integers over 64 bits,
lone surrogates), or finds the field that cannot be encoded and names it. Bounded in
depth and size, and safe against values that contain themselves or raise when read.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from openenv_async.codec import ext
from openenv_async.codec.safe_text import safe_text

MAX_NODES = 5_000_000
"""Most elements of a value."""

MAX_DEPTH = 300

_TIMES = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, decimal.Decimal)


class Unwalkable(Exception):
    """A part of a value cannot be encoded; `path` leads to it and `reason` is the end of the sentence."""

    def __init__(self, path: str, reason: str) -> None:
        """Keep both."""
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path, self.reason = path, reason


class ExtKey:
    """An extension as a dict's key; msgspec's own class has no hash. `unkey` is the hook that unwraps it."""

    __slots__ = ("ext",)

    def __init__(self, ext: msgspec.msgpack.Ext) -> None:
        """Keep the extension."""
        self.ext = ext


def unkey(value: Any) -> Any:
    """Unwrap an `ExtKey`; the encode hook for what `flatten` returns.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, ExtKey):
        return value.ext
    raise TypeError(f"cannot encode an object of type {type(value).__qualname__}")


def flatten(value: Any, hook: Callable[[Any], Any], *, native: bool, text_bytes: bool = False, root: str = "") -> Any:
    """Copy a value into dicts, lists and scalars that the wire's plain encoder takes.

    Args:
        value: anything.
        hook: the wire's encode hook, for what is neither a builtin nor has fields.
        native: for msgpack; otherwise for JSON.
        text_bytes: in JSON, write bytes as UTF-8 text where they are some (pydantic's way), else base64.
        root: the beginning of paths.

    Raises:
        Unwalkable: a part cannot be encoded.
    """
    return _Flattener(hook, native, text_bytes).visit(value, root)


class _Flattener:
    def __init__(self, hook: Callable[[Any], Any], native: bool, text_bytes: bool) -> None:
        self.hook = hook
        self.native = native
        self.text_bytes = text_bytes
        self.nodes = 0
        self.open: set[int] = set()

    def visit(self, value: Any, path: str) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Unwalkable(path, f"cannot encode a value of more than {MAX_NODES} elements")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self.text(value)
        if kind is int:
            return ext.big_integer(value) if self.native and not -(2**63) <= value < 2**64 else value
        if kind is float:
            return value if self.native or math.isfinite(value) else None
        return self.nested(value, path)

    def nested(self, value: Any, path: str) -> Any:
        if id(value) in self.open:
            raise Unwalkable(path, "cannot encode a value that contains itself")
        if len(self.open) >= MAX_DEPTH:
            raise Unwalkable(path, f"cannot encode a value nested more than {MAX_DEPTH} deep")
        self.open.add(id(value))
        try:
            return self.unfold(value, path)
        except Unwalkable:
            raise
        except RecursionError:
            raise Unwalkable(path, "cannot encode a value nested this deep") from None
        except BaseException as exc:
            # An author's properties, serializers and __str__ may raise anything.
            raise Unwalkable(path, safe_text(exc)) from exc
        finally:
            self.open.discard(id(value))

    def unfold(self, value: Any, path: str) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value) if self.native else self.binary(bytes(value))
        if isinstance(value, enum.Enum):
            return self.visit(value.value, path)
        if isinstance(value, _TIMES):
            return value if self.native else msgspec.to_builtins(value)
        if isinstance(value, (msgspec.Raw, msgspec.msgpack.Ext)) and self.native:
            return value
        if isinstance(value, Mapping):
            return {
                self.key(key, path): self.visit(item, _under(path, key))
                for key, item in value.items()
                if item is not msgspec.UNSET
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.visit(item, f"{path}[{index}]") for index, item in enumerate(value)]
        fields = fields_of(value)
        if fields is not None:
            if isinstance(value, msgspec.Struct) and value.__struct_config__.array_like:
                return [self.visit(item, _under(path, name)) for name, item in fields]
            return {name: self.visit(item, _under(path, name)) for name, item in fields}
        replaced = self.hook(value)
        if isinstance(replaced, msgspec.msgpack.Ext):
            return replaced
        return self.visit(replaced, path)

    def text(self, value: str) -> Any:
        if not self.native:
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return ext.surrogate_text(value)
        return value

    def binary(self, value: bytes) -> str:
        if self.text_bytes:
            try:
                return value.decode()
            except UnicodeDecodeError:
                pass
        return base64.b64encode(value).decode()

    def key(self, key: Any, path: str) -> Any:
        if isinstance(key, str) and type(key) is not str:
            key = str.__str__(key)
        if self.native:
            if isinstance(key, tuple):
                return tuple(self.key(part, path) for part in key)
            plain = self.visit(key, f"{path}[{safe_text(key)}]")
            return ExtKey(plain) if isinstance(plain, msgspec.msgpack.Ext) else plain
        if isinstance(key, str):
            return key
        if isinstance(key, tuple):
            # As pydantic writes it, so that both kinds of model agree.
            return ",".join(str(self.key(part, path)) for part in key)
        if key is None:
            return "None"
        plain = self.visit(key, f"{path}[{safe_text(key)}]")
        if isinstance(plain, bool):
            return "true" if plain else "false"
        if isinstance(plain, (str, int, float)):
            return str(plain)
        raise Unwalkable(path, f"cannot encode a key of type {type(key).__qualname__}")


def fields_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return names (as encoded) and values of a Struct's or dataclass's fields; None for anything else."""
    if isinstance(value, msgspec.Struct):
        pairs = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        found = [(name, getattr(value, field)) for name, field in pairs]
        config = value.__struct_config__
        if config.tag_field is not None:
            found.insert(0, (config.tag_field, config.tag))
        return [(name, item) for name, item in found if item is not msgspec.UNSET]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if hasattr(type(value), "__attrs_attrs__"):
        return [(field.name, getattr(value, field.name)) for field in type(value).__attrs_attrs__]
    return None


def _under(path: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{safe_text(key)!r}]" if isinstance(key, str) else f"{path}[{safe_text(key)}]"
