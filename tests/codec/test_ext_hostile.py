"""Extensions from a peer that means harm: refused by their header, before anything is allocated."""

from __future__ import annotations

import dataclasses
import json
import struct
import tracemalloc
from typing import Any

import hypothesis
import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st

from openenv_async import errors
from openenv_async.codec import codec_for, decode_any_msgpack, encode_any_msgpack, ext, observation_codec_for
from openenv_async.environment import Observation


def header(dtype: str, shape: tuple[int, ...], *, version: int = 1, flags: int = 0, dims: int | None = None) -> bytes:
    text = dtype.encode()
    head = struct.pack("<BBBxI", version, flags, len(shape) if dims is None else dims, len(text))
    body = head + struct.pack(f"<{len(shape)}Q", *shape) + text
    return body + bytes(-len(body) % 8)


def message(body: bytes, code: int = ext.ARRAY) -> bytes:
    return msgspec.msgpack.encode({"a": msgspec.msgpack.Ext(code, body)})


FIELDS = json.dumps([["a", "|O"]])
HOSTILE = {
    "empty": b"",
    "cut": b"\x01\x00",
    "version": header("<f4", (1,), version=2) + bytes(4),
    "flags": header("<f4", (1,), flags=0x80) + bytes(4),
    "scalar with dimensions": header("<f4", (1,), flags=2) + bytes(4),
    "dimensions": header("<f4", (), dims=255),
    "dtype length": struct.pack("<BBBxI", 1, 0, 0, 2**32 - 1),
    "object": header("|O", (1,)) + bytes(8),
    "object field": header(FIELDS, (1,)) + bytes(8),
    "pickle": header("O8", (1,)) + bytes(8),
    "code": header("__import__('os')", (1,)) + bytes(8),
    "comma": header("f4,f4", (1,)) + bytes(8),
    "name": header("object", (1,)) + bytes(8),
    "fields no list": header("[1]", (1,)) + bytes(8),
    "fields deep": header("[" * 60_000, (1,)) + bytes(8),
    "fields bad": header(json.dumps([["a", "<f4"], ["a", "<f4"]]), (1,)) + bytes(8),
    "field shape": header(json.dumps([["a", "<f4", [-1]]]), (1,)) + bytes(8),
    "field huge": header(json.dumps([["a", "<f4", [2**31, 2**31]]]), (1,)) + bytes(8),
    "field number": header(json.dumps([["a", 3]]), (1,)) + bytes(8),
    "not utf8": struct.pack("<BBBxI", 1, 0, 0, 8) + b"\xff" * 8,
    "too little data": header("<f8", (2,)) + bytes(8),
    "too much data": header("<f8", (1,)) + bytes(16),
    "terabytes": header("<f8", (2**40,)) + bytes(8),
    "overflow": header("<f8", (2**63, 2)) + bytes(8),
    "empty but huge": header("<f8", (0, 2**40)),
    "empty overflow": header("<f8", (2**63, 2**63, 0)),
    "zero width": header("<U0", (2**50,)),
    "wide empty": header("<U999999999", (0,)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_and_costs_nothing(name: str) -> None:
    data = message(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(errors.InvalidPayload, match="Invalid message") as caught:
            decode_any_msgpack(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 400


@hypothesis.given(st.integers(0, 127), st.binary(max_size=40))
@hypothesis.settings(max_examples=300, deadline=None)
def test_no_extension_brings_anything_but_a_value_or_a_refusal(code: int, body: bytes) -> None:
    try:
        decode_any_msgpack(message(body, code))
    except errors.InvalidPayload:
        pass


@hypothesis.given(st.binary(max_size=60))
@hypothesis.settings(max_examples=300, deadline=None)
def test_no_bytes_bring_anything_but_a_value_or_a_refusal(data: bytes) -> None:
    for decode in (decode_any_msgpack, codec_for(Observation).decode_msgpack, codec_for(Observation).decode_json):
        try:
            decode(data)
        except errors.InvalidPayload:
            pass


def test_an_unknown_extension_is_kept_for_whoever_knows_it() -> None:
    kept = decode_any_msgpack(message(b"later", 99))["a"]
    assert isinstance(kept, msgspec.msgpack.Ext) and (kept.code, bytes(kept.data)) == (99, b"later")
    assert encode_any_msgpack({"a": kept}) == message(b"later", 99)


@pytest.mark.parametrize("code", [ext.BIG_INTEGER, ext.TEXT, ext.COMPLEX, ext.ARRAY, 99])
def test_an_extension_where_a_field_takes_none_is_refused(code: int) -> None:
    class Typed(Observation):
        a: list[int] = []

    body = {ext.COMPLEX: bytes(16), ext.ARRAY: header("<f4", (0,))}.get(code, b"ab")
    with pytest.raises(errors.InvalidPayload) as caught:
        observation_codec_for(Typed).decode_native(message(body, code))
    assert caught.value.path == "a"


GOLDEN: list[tuple[Any, str]] = [
    (
        np.array([[1.0, 2.0]], "<f4"),
        "c728010100020003000000010000000000000002000000000000003c663400000000000000803f00000040",
    ),
    (2**64, "c70902010000000000000000"),
    ("\ud800", "c70303eda080"),
    (1 + 2j, "d8043ff00000000000004000000000000000"),
]


@pytest.mark.parametrize(("value", "written"), GOLDEN, ids=["array", "integer", "text", "complex"])
def test_the_published_bytes_do_not_change(value: Any, written: str) -> None:
    assert encode_any_msgpack(value).hex() == written
    np.testing.assert_array_equal(decode_any_msgpack(bytes.fromhex(written)), value)


def test_a_malformed_extension_in_what_a_class_skips_is_refused() -> None:
    @dataclasses.dataclass
    class NoMetadata:
        x: int = 0

    data = msgspec.msgpack.encode({"x": 1, "metadata": msgspec.msgpack.Ext(ext.ARRAY, b"")})
    with pytest.raises(errors.InvalidPayload, match="cut short"):
        observation_codec_for(NoMetadata).decode_native(data)
