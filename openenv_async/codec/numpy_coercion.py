"""Converts decoded values to numpy's types, and numpy's values to JSON's.

A value may change its width, never its kind. Numbers that a dtype cannot hold, text
where numbers belong, fractions where integers belong are refused. Used by the hooks
when an annotation or a value is numpy's; `arrays` encodes arrays on the native wire.
"""

from __future__ import annotations

import sys
from typing import Any, get_args, get_origin

from openenv_async.codec import arrays

_ACCEPTS = {
    "b": "b",
    "i": "biu",
    "u": "biu",
    "f": "biuf",
    "c": "biufcU",
    "S": "S",
    "U": "U",
    "M": "MU",
    "m": "miu",
    "V": "V",
}
_MAX_TEXT = 16 * 1024 * 1024
"""Characters in an array of texts made from lists, padding included."""

_NAMES = {
    "b": "bool",
    "i": "int",
    "u": "int",
    "f": "float",
    "c": "complex",
    "S": "bytes",
    "U": "str",
    "M": "datetime",
    "m": "timedelta",
    "V": "a structure",
    "O": "mixed values",
}


def annotated_dtype(annotation: Any) -> Any:
    """Return the dtype that an array annotation asks for, or None for any."""
    numpy = sys.modules["numpy"]
    args = get_args(annotation)
    if get_origin(annotation) is not numpy.ndarray or len(args) != 2:
        return None
    scalar = (get_args(args[1]) or (None,))[0]
    if not isinstance(scalar, type) or not issubclass(scalar, numpy.generic):
        return None
    # An abstract type (np.floating) names a family of dtypes, not a dtype.
    return None if scalar.__subclasses__() and scalar is not numpy.float64 else numpy.dtype(scalar)


def to_annotation(annotation: Any, value: Any) -> Any:
    """Convert a decoded value to the array or numpy scalar that the annotation names.

    Raises:
        ValueError: its kind or range does not fit.
    """
    numpy = sys.modules["numpy"]
    cls = get_origin(annotation) or annotation
    if issubclass(cls, numpy.ndarray):
        return to_array(value, annotated_dtype(annotation))
    if issubclass(cls, numpy.generic):
        if isinstance(value, cls):
            return value
        if value is None or isinstance(value, (list, dict)):
            raise ValueError(f"Expected `numpy.{cls.__name__}`, got `{_name_of(value)}`")
        return to_array(value, numpy.dtype(cls))[()]
    return value


def to_array(value: Any, dtype: Any) -> Any:
    """Convert nested lists, a number or another array to an array of `dtype` (None: any dtype)."""
    numpy = sys.modules["numpy"]
    if isinstance(value, (dict, str, bytes)) and (dtype is None or dtype.kind not in "cMSU"):
        raise ValueError(f"Expected `array`, got `{_name_of(value)}`")
    if value is None:
        raise ValueError("Expected `array`, got `null`")
    if isinstance(value, arrays.ArrayData):
        value = arrays.unpack(memoryview(arrays.pack_data(value).data))
    if isinstance(value, list) and (width := _widest(value)) * _count(value) > _MAX_TEXT:
        raise ValueError(f"Expected `array`, got texts of up to {width} characters, too long for one")
    try:
        array = value if isinstance(value, numpy.ndarray) else numpy.array(value)
    except (ValueError, OverflowError, RecursionError) as exc:
        raise ValueError(f"Expected `array`, got lists of uneven lengths or values ({exc})") from exc
    if array.dtype.kind == "O":
        array = _with_nulls(array, dtype)
    return array if dtype is None or array.dtype == dtype else _cast(array, dtype)


def _widest(value: list[Any]) -> int:
    """Return the length of the longest text in nested lists: numpy makes every element that wide."""
    kinds = set(map(type, value))
    width = max((len(item) for item in value if type(item) is str), default=0) if str in kinds else 0
    return max((width, *(_widest(item) for item in value if type(item) is list))) if list in kinds else width


def _count(value: list[Any]) -> int:
    return sum(_count(item) if type(item) is list else 1 for item in value)


def _with_nulls(array: Any, dtype: Any) -> Any:
    """Read nulls as NaN: the JSON wire writes NaN and the infinities as null."""
    floats = dtype is None or dtype.kind in "fc"
    if floats and all(item is None or type(item) is float or _exact(item) for item in array.flat):
        return array.astype("f8")
    if dtype is not None and dtype.kind in "iu" and all(type(item) is int for item in array.flat):
        raise ValueError(f"Expected integers that fit `{dtype}`")
    raise ValueError(f"Expected `array of {dtype or 'numbers'}`, got an array of mixed values")


def _exact(item: Any) -> bool:
    return type(item) is int and abs(item) <= 2**53


def _cast(array: Any, dtype: Any) -> Any:
    numpy = sys.modules["numpy"]
    if array.size == 0:
        # JSON's empty list says nothing of a dtype.
        return array.astype(dtype) if array.dtype.kind in "biuf" else numpy.empty(array.shape, dtype)
    source, target = array.dtype.kind, dtype.kind
    if source not in _ACCEPTS[target]:
        raise ValueError(f"Expected `array of {dtype}`, got an array of {_NAMES.get(source, source)}")
    if target in "iu" and source in "iu":
        info = numpy.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < info.min or high > info.max:
            raise ValueError(f"Expected integers that fit `{dtype}`, got {low if low < info.min else high}")
    with numpy.errstate(over="ignore"):
        # A double beyond float32 becomes infinite, as numpy has it.
        return array.astype(dtype)


def to_complex(value: Any) -> complex:
    """Convert a decoded value to a complex number; in JSON it is text."""
    if type(value) in (int, float, complex):
        return complex(value)
    if isinstance(value, str):
        try:
            return complex(value)
        except ValueError:
            pass
    raise ValueError(f"Expected `complex`, got `{_name_of(value)}`")


def complex_text(value: complex) -> str:
    """Write a complex number as pydantic does."""
    return str(complex(value)).strip("()")


def to_lists(value: Any) -> Any:
    """Convert a numpy array or scalar to JSON's lists, numbers and text.

    Raises:
        TypeError: it holds Python objects.
    """
    kind = value.dtype.kind
    if kind in "biuSU":
        return value.tolist()
    if kind == "f":
        # A long double's own tolist() keeps long doubles.
        return (value.astype("f8") if value.dtype.itemsize > 8 else value).tolist()
    if kind == "c":
        return _each(value.astype("c16").tolist(), complex_text)
    if kind == "M":
        return sys.modules["numpy"].datetime_as_string(value).tolist()
    if kind == "m":
        return value.astype("i8").tolist()
    if kind == "V" and value.dtype.names is not None and not value.dtype.hasobject:
        return {name: to_lists(value[name]) for name in value.dtype.names}
    raise TypeError(f"cannot encode an array of dtype {value.dtype}")


def _each(value: Any, convert: Any) -> Any:
    return [_each(item, convert) for item in value] if isinstance(value, list) else convert(value)


def _name_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else type(value).__name__
