"""msgspec's hooks for values that it does not know, and the encoders and decoders that use them.

The hooks are called only for exotic values (numpy, pydantic, subclasses of builtins), never for plain ones, and
use numpy and pydantic only if the user imported them. `slow_encoder` calls the encode hooks too.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Mapping, Set
from pathlib import PurePath
from typing import Any, get_origin

import msgspec

from openenv_async.codec import arrays, ext, numpy_coercion, pydantic_interop


def native_hook(value: Any) -> Any:
    """Convert a value that msgspec does not know to one that msgpack can hold.

    Raises:
        TypeError: it cannot be converted.
    """
    numpy = arrays.loaded_numpy()
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return arrays.pack(value)
        if isinstance(value, numpy.generic):
            # A Python number is the same value, and what every field of a number takes. A
            # long double has none and stays one; a datetime64 would lose its unit.
            plain = value.item() if value.dtype.kind in "biufcSU" else value
            return arrays.pack_scalar(value) if isinstance(plain, numpy.generic) else plain
    if isinstance(value, complex):
        return ext.complex_number(value)
    if isinstance(value, arrays.ArrayData):
        return arrays.pack_data(value)
    if pydantic_interop.is_model_instance(value):
        return pydantic_interop.dump(value)
    return _builtin(value)


def json_hook(value: Any) -> Any:
    """Convert a value that msgspec does not know to one that JSON can hold.

    Raises:
        TypeError: it cannot be converted.
    """
    numpy = arrays.loaded_numpy()
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return numpy_coercion.to_lists(value)
    if isinstance(value, complex):
        return numpy_coercion.complex_text(value)
    if isinstance(value, arrays.ArrayData):
        return value.tolist()
    if pydantic_interop.is_model_instance(value):
        return pydantic_interop.dump_jsonable(value, json_hook)
    return _builtin(value)


def _builtin(value: Any) -> Any:
    for base, convert in _BASES:
        if isinstance(value, base):
            return convert(value)
    if type(value).__module__.startswith("pydantic") and "pydantic_core" in sys.modules:
        # pydantic's own values (Url, SecretStr) look as they do on OpenEnv's wire.
        return pydantic_interop.core().to_jsonable_python(value)
    raise TypeError(f"cannot encode an object of type {type(value).__qualname__}")


_BASES: tuple[tuple[type, Any], ...] = (
    # Called on the base, so that a subclass's own methods (which may raise) are not run.
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes),
    (Mapping, dict),
    (Set, list),
    (deque, list),
    (range, list),
    (PurePath, str),
    (re.Pattern, lambda pattern: pattern.pattern),
)


def decode_hook(annotation: Any, value: Any) -> Any:
    """Convert a decoded value to an annotated class that msgspec does not know; msgspec checks the class afterwards.

    Raises:
        ValueError: the value does not fit.
    """
    cls = get_origin(annotation) or annotation
    if pydantic_interop.is_model_class(cls):
        return pydantic_interop.validator(annotation, decode_hook)(value)
    if cls is complex:
        return numpy_coercion.to_complex(value)
    if isinstance(cls, type):
        if cls.__module__.partition(".")[0] == "numpy":
            return numpy_coercion.to_annotation(annotation, value)
        if issubclass(cls, PurePath) and isinstance(value, str):
            return cls(value)
        if issubclass(cls, (str, int, float)) and type(value) in (str, int, float):
            return _rebuilt(cls, value)
    return value


def _rebuilt(cls: type, value: Any) -> Any:
    base = next(base for base in (str, int, float) if issubclass(cls, base))
    if type(value) is not base and not (base is float and type(value) is int):
        raise ValueError(f"Expected `{base.__name__}`, got `{type(value).__name__}`")
    return cls(value)


NATIVE = msgspec.msgpack.Encoder(enc_hook=native_hook)
"""Encodes any value for the native wire; one C call unless a hook is needed."""

JSON = msgspec.json.Encoder(enc_hook=json_hook)
"""Encodes any value for the JSON wire; NaN and infinities become null, bytes base64."""

UNTYPED = msgspec.msgpack.Decoder(ext_hook=ext.ext_hook)
UNTYPED_JSON = msgspec.json.Decoder()
