"""The msgpack extension types of the native wire: a published format, chosen once.

    code  what                      body
    1     an array                  see `arrays`
    2     an integer over 64 bits   two's complement, big-endian, as many bytes as needed
    3     text with lone surrogates UTF-8 as Python's `surrogatepass` writes it
    4     a complex number          real and imaginary part, two big-endian IEEE doubles

A code is never given a new meaning; a reader keeps an unknown one as
`msgspec.msgpack.Ext`. Code -1 (a timestamp) is msgpack's own and msgspec reads it.
Owns codes 2 to 4 and the dispatch; `arrays` owns code 1.
"""

from __future__ import annotations

import struct
from typing import Any

from msgspec.msgpack import Ext

from openenv_async.codec import arrays

ARRAY = arrays.CODE
BIG_INTEGER = 2
TEXT = 3
COMPLEX = 4

_COMPLEX = struct.Struct(">dd")


def big_integer(value: int) -> Ext:
    """Pack an integer that msgpack itself cannot hold."""
    return Ext(BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def surrogate_text(value: str) -> Ext:
    """Pack a text that UTF-8 cannot hold because half of a surrogate pair is missing."""
    return Ext(TEXT, value.encode("utf-8", "surrogatepass"))


def complex_number(value: complex) -> Ext:
    """Pack a complex number."""
    return Ext(COMPLEX, _COMPLEX.pack(value.real, value.imag))


def ext_hook(code: int, data: memoryview) -> Any:
    """Unpack one extension; msgspec calls it.

    Raises:
        ValueError: the body is not what its code says.
    """
    if code == ARRAY:
        return arrays.unpack(data)
    if code == BIG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == TEXT:
        return str(data, "utf-8", "surrogatepass")
    if code == COMPLEX:
        if len(data) != _COMPLEX.size:
            raise ValueError(f"a complex number has {_COMPLEX.size} bytes, not {len(data)}")
        return complex(*_COMPLEX.unpack(data))
    return Ext(code, bytes(data))
