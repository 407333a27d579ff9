"""Values of the native wire as JSON, and back: a published format.

A value that JSON cannot express is an object with one key:

    {"$bytes": "base64"}                        {"$float": "nan" | "inf" | "-inf"}
    {"$int": "9007199254740993"}                beyond 2^53, which other readers round; very large ones as "0x..."
    {"$complex": [re, im]}                      {"$time": "2026-01-01T00:00:00+00:00"}
    {"$array": {"dtype": "<f4", "shape": [2], "order": "C", "data": "base64"}}   "scalar": true for a numpy scalar
    {"$map": [[key, value], ...]}               keys that are not text, or begin with `$`
    {"$ext": [code, "base64"]}                  an unknown msgpack extension

A reader leaves an object with any other single key unchanged.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import math
from collections.abc import Callable
from typing import Any

import msgspec

from openenv_async.codec import arrays, ext

_EXACT = 2**53 - 1
_DECIMAL_BITS = 1024

Path = tuple[str, ...]
"""The names that lead to a value, without indexes of lists."""


class Marked(dict[str, Any]):
    """A value that is in this format already."""


def _b64(data: Any) -> str:
    return base64.b64encode(data).decode()


def _extension(code: int, data: memoryview) -> Any:
    if code == arrays.CODE:
        dtype, shape, flags, start = arrays.read_header(data)
        order = "F" if flags & arrays.FORTRAN else "C"
        body: dict[str, Any] = {"dtype": dtype, "shape": list(shape), "order": order, "data": _b64(data[start:])}
        if flags & arrays.SCALAR:
            body["scalar"] = True
        return Marked({"$array": body})
    value = ext.ext_hook(code, data)
    if isinstance(value, msgspec.msgpack.Ext):
        return Marked({"$ext": [code, _b64(data)]})
    return value


_DECODER = msgspec.msgpack.Decoder(ext_hook=_extension)


def from_msgpack(data: bytes) -> Any:
    """Decode for `to_json`. Arrays stay bytes, so that numpy is not needed.

    Raises:
        ValueError: the bytes are not msgpack.
    """
    return _DECODER.decode(data)


def to_json(value: Any, path: Path = (), change: Callable[[Path, Any], Any] | None = None) -> Any:
    """Return a value that JSON can carry and `from_json` decodes.

    Args:
        value: dicts, lists and what `from_msgpack` returns.
        path: path of the value, for `change`.
        change: called with the path and value of every dict item and text; returns the value to write.
    """
    if change is not None:
        value = change(path, value)
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is Marked:
        return value
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else {"$int": _digits(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: to_json(item, (*path, key), change) for key, item in value.items()}
        pairs = [[to_json(key), to_json(item, (*path, str(key)), change)] for key, item in value.items()]
        return {"$map": pairs}
    if isinstance(value, (list, tuple)):
        return [to_json(item, path, change) for item in value]
    return _rare(value)


def _digits(value: int) -> str:
    return str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)


def _rare(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": _b64(value)}
    if isinstance(value, complex):
        return {"$complex": [to_json(value.real), to_json(value.imag)]}
    if isinstance(value, datetime.datetime):
        return {"$time": value.isoformat()}
    return str(value)


def from_json(value: Any) -> Any:
    """Decode what `to_json` returned. Arrays are numpy arrays where numpy is installed.

    Raises:
        ValueError: the content of an object of this format is invalid.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, body),) = value.items()
        read = _READERS.get(key)
        if read is not None:
            try:
                return read(body)
            except (TypeError, ValueError, KeyError, AttributeError, binascii.Error) as exc:
                raise ValueError(f"{key} has invalid content: {exc}") from exc
    return {key: from_json(item) for key, item in value.items()}


def _float(body: str) -> float:
    if body not in ("nan", "inf", "-inf"):
        raise ValueError(f"{body!r} is not one of nan, inf, -inf")
    return float(body)


def _array(body: dict[str, Any]) -> Any:
    data = base64.b64decode(body["data"], validate=True)
    flags = (arrays.FORTRAN if body.get("order") == "F" else 0) | (arrays.SCALAR if body.get("scalar") else 0)
    return arrays.unpack(memoryview(arrays.header(body["dtype"].encode(), tuple(body["shape"]), flags) + data))


def _key(key: Any) -> Any:
    return tuple(map(_key, key)) if isinstance(key, list) else key


_READERS: dict[str, Callable[[Any], Any]] = {
    "$bytes": lambda body: base64.b64decode(body, validate=True),
    "$float": _float,
    "$int": lambda body: int(body, 0),
    "$complex": lambda body: complex(from_json(body[0]), from_json(body[1])),
    "$time": datetime.datetime.fromisoformat,
    "$array": _array,
    "$map": lambda body: {_key(from_json(key)): from_json(item) for key, item in body},
    "$ext": lambda body: msgspec.msgpack.Ext(body[0], base64.b64decode(body[1], validate=True)),
}
