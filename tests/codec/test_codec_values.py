"""Builtins arrive as they left on the native wire."""

from __future__ import annotations

import dataclasses
import datetime
import math
from typing import Any

import hypothesis
import msgspec
from hypothesis import strategies as st

from openenv_async.codec import codec_for, decode_any_msgpack, encode_any_msgpack, jsonable


def native(value: Any) -> Any:
    return decode_any_msgpack(encode_any_msgpack(value))


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(),
    TEXT,
    st.binary(max_size=8),
    st.complex_numbers(allow_nan=False),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@hypothesis.given(VALUES)
@hypothesis.settings(max_examples=150, deadline=None)
def test_builtins_survive_the_native_wire(value: Any) -> None:
    assert same(native(value), value)


@hypothesis.given(VALUES)
@hypothesis.settings(max_examples=100, deadline=None)
def test_jsonable_is_json_and_stable(value: Any) -> None:
    plain = jsonable(value)
    assert same(jsonable(plain), plain)
    codec: Any = codec_for(Any)
    assert same(codec.decode_json(codec.encode_json(value)), plain)


class Strict(msgspec.Struct):
    number: int
    text: str
    reals: list[float] = []


def test_values_that_need_an_extension_reach_typed_fields() -> None:
    codec = codec_for(Strict)
    for value in (Strict(2**100, "x"), Strict(-(2**64), "\ud800"), Strict(1, "a\udfff", [math.inf])):
        assert codec.decode_msgpack(codec.encode_msgpack(value)) == value
    assert codec.decode_json(codec.encode_json(Strict(2**100, "\ud800"))) == Strict(2**100, "\ud800")


def test_nan_comes_back_as_nan_in_typed_fields() -> None:
    codec = codec_for(Strict)
    back = codec.decode_msgpack(codec.encode_msgpack(Strict(1, "", [math.nan, -math.inf])))
    assert math.isnan(back.reals[0]) and back.reals[1] == -math.inf


class LoudText(str):
    def __str__(self) -> str:
        raise RuntimeError("never called")


class Small(int):
    pass


def test_subclasses_of_builtins_travel_as_their_base() -> None:
    import collections
    import pathlib
    import types

    value = {
        "s": LoudText("x"),
        "i": Small(3),
        "d": collections.OrderedDict(a=1),
        "m": types.MappingProxyType({"a": 1}),
        "q": collections.deque([1, 2]),
        "r": range(3),
        "p": pathlib.PurePosixPath("/a/b"),
        LoudText("k"): 1,
    }
    expected = {"s": "x", "i": 3, "d": {"a": 1}, "m": {"a": 1}, "q": [1, 2], "r": [0, 1, 2], "p": "/a/b", "k": 1}
    assert native(value) == expected
    assert jsonable(value) == expected


def test_times_survive() -> None:
    @dataclasses.dataclass
    class Times:
        aware: datetime.datetime
        naive: datetime.datetime
        span: datetime.timedelta

    value = Times(
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.datetime(2024, 1, 1),
        datetime.timedelta(seconds=1.5),
    )
    codec = codec_for(Times)
    assert codec.decode_msgpack(codec.encode_msgpack(value)) == value
    assert codec.decode_json(codec.encode_json(value)) == value
