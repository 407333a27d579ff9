"""Arrays as bytes: msgpack extension 1.

    u8   format version, 1
    u8   flags: 1 = elements in Fortran order, 2 = a numpy scalar (no dimensions)
    u8   number of dimensions
    u8   zero
    u32  length of the dtype's text, little-endian
    u64  size of each dimension, little-endian
    ...  dtype: numpy's array-protocol text (`<f4`, `|b1`, `<M8[ns]`), or for a
         structured one the JSON list of its fields; zeros up to a multiple of 8
    ...  the elements, exactly as many bytes as shape and dtype say

Nothing is pickled and nothing evaluated: a dtype's text is matched against a
closed pattern before numpy sees it, and no array is made before the data it
needs is there. numpy is used when it can be imported; without it an array is an
`ArrayData`. Conversion of decoded values to an annotation's dtype is in `numpy_coercion`.
"""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

if TYPE_CHECKING:
    import numpy

CODE = 1

_VERSION = 1
FORTRAN = 1
SCALAR = 2
_HEAD = struct.Struct("<BBBxI")
_MAX_DIMENSIONS = 64
_MAX_DTYPE_TEXT = 64 * 1024
_MAX_EMPTY_BYTES = 16 * 1024 * 1024
"""numpy allocates the non-zero dimensions of an empty array, whose data cannot vouch for them."""

_DTYPE = re.compile(
    r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[mM]8(?:\[[0-9A-Za-z/]{1,24}\])?|[SUV][0-9]{1,9})"
)
_KINDS = "biufcmMSUV"
_FORMATS = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"} | {
    "f4": "f",
    "f8": "d",
}


class ArrayData:
    """An array as it was received, for a program without numpy.

    `dtype` is numpy's text for it, `data` holds the elements in `order` ("C" or "F").
    """

    __slots__ = ("data", "dtype", "order", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], data: bytes, order: str = "C") -> None:
        """Keep the parts as they are."""
        self.dtype, self.shape, self.data, self.order = dtype, shape, data, order

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayData):
            return NotImplemented
        mine = (self.dtype, self.shape, self.data, self.order)
        return mine == (other.dtype, other.shape, other.data, other.order)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ArrayData(dtype={self.dtype!r}, shape={self.shape!r}, {len(self.data)} bytes)"

    def tolist(self) -> Any:
        """Return the elements as nested lists of numbers.

        Raises:
            TypeError: the dtype is not a plain number of this machine's byte order.
        """
        native = "<" if sys.byteorder == "little" else ">"
        form = _FORMATS.get(self.dtype[1:])
        if form is None or self.dtype[0] not in (native, "|", "=") or (self.order == "F" and len(self.shape) > 1):
            raise TypeError(f"without numpy an array of dtype {self.dtype} cannot become a list")
        flat: Any = memoryview(self.data)
        return _nested(flat.cast(form).tolist(), self.shape)


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    width = math.prod(shape[1:])
    return [_nested(flat[i * width : (i + 1) * width], shape[1:]) for i in range(shape[0])]


def loaded_numpy() -> Any:
    """Return numpy if this process has imported it, else None. An array cannot exist before that."""
    module = sys.modules.get("numpy")
    # While another thread is still importing it, the module is there and its names are not.
    return module if module is not None and hasattr(module, "generic") else None


@lru_cache(maxsize=1)
def importable_numpy() -> Any:
    """Import numpy, or return None where it is not installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def pack(array: numpy.ndarray[Any, Any], flags: int = 0) -> Ext:
    """Pack an array of any layout.

    Raises:
        TypeError: its dtype cannot be encoded (Python objects), or it is masked.
    """
    if hasattr(array, "mask"):
        raise TypeError("cannot encode a masked array; send its data and its mask")
    text = _text_of(array.dtype)
    if array.dtype.names is not None:
        # Field by field: the gaps between them hold earlier contents of this process's memory.
        flat = sys.modules["numpy"].zeros(array.shape, array.dtype)
        flat[...] = array
    elif array.flags.c_contiguous:
        flat = array
    elif array.flags.f_contiguous:
        flags |= FORTRAN
        flat = array.T
    else:
        flat = array.copy(order="C")
    data = flat.reshape(-1).view("u1").data if array.size else b""
    return Ext(CODE, b"".join((header(text, array.shape, flags), data)))


def pack_scalar(scalar: numpy.generic[Any]) -> Ext:
    """Pack a numpy scalar that a Python number cannot represent."""
    return pack(sys.modules["numpy"].asarray(scalar), SCALAR)


def pack_data(array: ArrayData) -> Ext:
    """Pack an array of a program without numpy."""
    flags = FORTRAN if array.order == "F" else 0
    return Ext(CODE, header(array.dtype.encode(), array.shape, flags) + array.data)


def header(text: bytes, shape: tuple[int, ...], flags: int) -> bytes:
    """Return the header before the elements of an array.

    Args:
        text: the dtype's text.
        shape: the size of each dimension.
        flags: `FORTRAN`, `SCALAR`.
    """
    start = _HEAD.size + 8 * len(shape) + len(text)
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return b"".join((_HEAD.pack(_VERSION, flags, len(shape), len(text)), sizes, text, bytes(-start % 8)))


def unpack(body: memoryview) -> Any:
    """Unpack an array: a writable copy, or an `ArrayData` without numpy.

    Raises:
        ValueError: the header is malformed, or does not agree with the data.
    """
    text, shape, flags, start = read_header(body)
    numpy = importable_numpy()
    if numpy is None:
        return ArrayData(text, shape, bytes(body[start:]), "F" if flags & FORTRAN else "C")
    dtype = _dtype_of(text)
    count = math.prod(shape)
    if len(body) - start != count * dtype.itemsize:
        raise ValueError(
            f"an array of shape {shape} and dtype {text} has {count * dtype.itemsize} bytes, not {len(body) - start}"
        )
    if count == 0:
        if math.prod(size or 1 for size in shape) * dtype.itemsize > _MAX_EMPTY_BYTES:
            raise ValueError(f"an empty array of shape {shape} is refused")
        return numpy.empty(shape, dtype)
    view = numpy.ndarray(shape, dtype, body, start, order="F" if flags & FORTRAN else "C")
    if flags & SCALAR:
        return view.copy()[()]
    # A copy: the message's bytes are read-only, shared, and would live as long as the array.
    return view.copy(order="K")


def read_header(body: memoryview) -> tuple[str, tuple[int, ...], int, int]:
    """Return the dtype's text, the shape, the flags, and where the elements begin.

    Raises:
        ValueError: the header is malformed.
    """
    if len(body) < _HEAD.size:
        raise ValueError("an array's header is cut short")
    version, flags, dimensions, length = _HEAD.unpack_from(body)
    if version != _VERSION:
        raise ValueError(f"an array of format version {version} is not known here")
    if flags & ~(FORTRAN | SCALAR) or (flags & SCALAR and dimensions):
        raise ValueError(f"an array's flags are {flags:#x}, which means nothing here")
    if dimensions > _MAX_DIMENSIONS or length > _MAX_DTYPE_TEXT:
        raise ValueError(f"an array of {dimensions} dimensions and {length} bytes of dtype is refused")
    middle = _HEAD.size + 8 * dimensions
    end = middle + length
    if len(body) < end:
        raise ValueError("an array's header is cut short")
    shape = struct.unpack_from(f"<{dimensions}Q", body, _HEAD.size)
    return str(body[middle:end], "utf-8"), shape, flags, end + -end % 8


@lru_cache(maxsize=256)
def _text_of(dtype: numpy.dtype[Any]) -> bytes:
    if dtype.hasobject or dtype.kind not in _KINDS or not dtype.itemsize:
        raise TypeError(f"cannot encode an array of dtype {dtype}")
    if dtype.names is None:
        text = dtype.str
        if _DTYPE.fullmatch(text) is None or importable_numpy().dtype(text) != dtype:
            raise TypeError(f"cannot encode an array of dtype {dtype}")
        return text.encode()
    fields = json.dumps(importable_numpy().lib.format.dtype_to_descr(dtype)).encode()
    if _dtype_of(fields.decode()) != dtype:
        raise TypeError(f"cannot encode an array of dtype {dtype}")
    return fields


@lru_cache(maxsize=256)
def _dtype_of(text: str) -> Any:
    numpy = importable_numpy()
    try:
        if text.startswith("["):
            dtype = numpy.lib.format.descr_to_dtype(_checked_fields(json.loads(text)))
        elif _DTYPE.fullmatch(text):
            dtype = numpy.dtype(text)
        else:
            raise ValueError("not a dtype that travels")
    except (TypeError, ValueError, KeyError, RecursionError) as exc:
        raise ValueError(f"an array's dtype {text[:80]!r} is refused: {exc}") from exc
    if dtype.hasobject or dtype.itemsize <= 0:  # numpy before 2.2 counts in 32 bits with a sign
        raise ValueError(f"an array's dtype {text[:80]!r} is refused")
    return dtype


def _checked_fields(fields: Any) -> list[tuple[Any, ...]]:
    """Turn the JSON of a structured dtype into numpy's form, refusing everything else."""
    if not isinstance(fields, list):
        raise ValueError("its fields are not a list")
    found: list[tuple[Any, ...]] = []
    for field in fields:
        if not isinstance(field, list) or len(field) not in (2, 3):
            raise ValueError("a field is not [name, type] or [name, type, shape]")
        name, kind, *shape = field
        if isinstance(name, list) and len(name) == 2 and all(isinstance(part, str) for part in name):
            name = tuple(name)
        elif not isinstance(name, str):
            raise ValueError("a field's name is not text")
        if not isinstance(kind, str):
            kind = _checked_fields(kind)
        elif _DTYPE.fullmatch(kind) is None:
            raise ValueError(f"its field {name!r} has a type that does not travel")
        if shape and not (isinstance(shape[0], list) and all(type(size) is int and size >= 0 for size in shape[0])):
            raise ValueError(f"its field {name!r} has no shape")
        found.append((name, kind, *(tuple(sizes) for sizes in shape)))
    return found
