"""Arrays and numpy scalars, as values and as annotations."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for, decode_any_msgpack, encode_any_msgpack, jsonable, observation_codec_for
from openenv_async.environment import Observation


def native(value: Any) -> Any:
    return decode_any_msgpack(encode_any_msgpack(value))


ARRAYS = [
    np.arange(6, dtype=np.int32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24).reshape(4, 6)[::2, ::-3],
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.array(3.5, np.float16),
    np.zeros((0, 4), np.uint8),
    np.zeros((3, 0, 2), ">f8"),
    np.array([True, False]),
    np.array([1 + 2j, complex("nan")], np.complex64),
    np.array(["2024-01-01T00:00:00.123456789", "NaT"], "M8[ns]"),
    np.array([1, -5], "m8[25s]"),
    np.array(["a", "bcd", "\U0001f600"]),
    np.array([b"a", b"\xff"]),
    np.array([1, 2], ">i4"),
    np.array([np.nan, np.inf, -np.inf, -0.0]),
    np.array([(1, [2.0, 3.0]), (4, [5.0, 6.0])], [("a", "<i2"), ("b", "<f4", (2,))]),
    np.zeros(3, np.dtype([("x", "u1"), ("y", "<f8"), ("z", [("w", "<i4")])], align=True)),
    np.array([1.5], np.longdouble),
    np.broadcast_to(np.float32(2), (3, 3)),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_an_array_survives(array: npt.NDArray[Any]) -> None:
    back = native({"a": [array]})["a"][0]
    assert isinstance(back, np.ndarray)
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.tobytes() == array.tobytes() or array.dtype.names
    assert back.flags.writeable
    assert back.flags.forc


@pytest.mark.parametrize(
    "scalar",
    [
        np.float32(1.5),
        np.float64("inf"),
        np.int64(-3),
        np.uint8(255),
        np.bool_(True),
        np.str_("x" * 40),
        np.complex64(1j),
    ],
    ids=lambda scalar: type(scalar).__name__,
)
def test_a_numpy_scalar_becomes_the_same_number(scalar: Any) -> None:
    assert native(scalar) == scalar.item()
    assert type(native(scalar)) is type(scalar.item())
    assert native({scalar: 1}) == {scalar.item(): 1} or isinstance(scalar, np.complex64)


@pytest.mark.parametrize("scalar", [np.datetime64("2024-01-01", "ns"), np.timedelta64(5, "D"), np.longdouble("1.1")])
def test_a_numpy_scalar_that_no_number_can_be_stays_itself(scalar: Any) -> None:
    assert native(scalar) == scalar
    assert type(native(scalar)) is type(scalar)
    assert native(scalar).dtype == scalar.dtype


def test_a_numpy_reward_is_a_number_everywhere() -> None:
    codec = observation_codec_for(Observation)
    for reward in (np.float32(1.5), np.int32(2), np.float64(0.5)):
        obs = Observation(reward=reward, done=np.bool_(True))  # type: ignore[arg-type]
        decoded = codec.decode_native(codec.encode_native(obs))
        assert decoded.reward == reward and type(decoded.reward) in (int, float)
        assert decoded.done is True
        assert codec.decode_ws_json(codec.encode_ws_json(obs)).reward == reward
        assert msgspec.json.decode(codec.encode_http_json(obs))["reward"] == float(reward)


@pytest.mark.parametrize(
    "bad", [np.array([object()]), np.array([(None,)], [("o", "O")]), np.ma.masked_array([1, 2], [True, False])]
)
def test_an_array_that_cannot_travel_is_named(bad: Any) -> None:
    obs = {"frames": [1, {"deep": bad}]}
    codec = observation_codec_for(None)
    with pytest.raises(errors.UnencodableValue, match=r"^observation\.frames\[1\]\.deep: cannot encode a") as caught:
        codec.encode_native(obs)
    assert caught.value.path == "observation.frames[1].deep"


class Typed(Observation):
    any: np.ndarray[Any, Any] | None = None
    floats: npt.NDArray[np.float32] | None = None
    bytes8: npt.NDArray[np.uint8] | None = None
    flags: npt.NDArray[np.bool_] | None = None
    dates: npt.NDArray[np.datetime64] | None = None
    scalar: np.float32 | None = None
    number: complex | None = None


@pytest.mark.parametrize(
    "given",
    [
        {"any": [[1, 2], [3, 4]]},
        {"floats": [1, 2.5, None]},
        {"floats": []},
        {"bytes8": [0, 255]},
        {"flags": [True, False]},
        {"scalar": 1.5},
        {"scalar": 2},
        {"number": "1+2j"},
        {"dates": ["2024-01-01"]},
    ],
    ids=str,
)
def test_an_annotation_makes_arrays_of_lists(given: dict[str, Any]) -> None:
    codec = codec_for(Typed)
    name = next(iter(given))
    expected = {"floats": np.float32, "bytes8": np.uint8, "flags": np.bool_}.get(name)
    for value in (
        codec.from_builtins(given),
        codec.decode_json(msgspec.json.encode(given)),
        codec.decode_msgpack(msgspec.msgpack.encode(given)),
    ):
        made = getattr(value, name)
        if expected is not None:
            assert isinstance(made, np.ndarray) and made.dtype == expected
        again = codec.decode_msgpack(codec.encode_msgpack(value))
        np.testing.assert_array_equal(getattr(again, name), made)
        from_json = codec.decode_json(codec.encode_json(value))
        np.testing.assert_array_equal(getattr(from_json, name), made)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("floats", np.array(["a"])),
        ("floats", np.array([1j])),
        ("floats", "text"),
        ("floats", {"a": 1}),
        ("floats", ["1.5"]),
        ("floats", [[1], [2, 3]]),
        ("bytes8", np.array([1.5])),
        ("bytes8", [256]),
        ("bytes8", [-1]),
        ("bytes8", [1, None]),
        ("flags", [1, 0]),
        ("any", [1, {}]),
        ("any", 2**70),
        ("scalar", "x"),
        ("scalar", [1.0]),
        ("number", "one"),
    ],
    ids=str,
)
def test_an_array_of_the_wrong_kind_is_refused(field: str, value: Any) -> None:
    codec = codec_for(Typed)
    with pytest.raises(errors.InvalidPayload) as caught:
        codec.decode_msgpack(encode_any_msgpack({field: value}))
    assert caught.value.path == field
    assert f"at `{field}`" in str(caught.value)


def test_arrays_widen_and_narrow_within_their_kind() -> None:
    codec = codec_for(Typed)
    back = codec.decode_msgpack(encode_any_msgpack({"floats": np.arange(3), "bytes8": np.array([1, 2], np.int64)}))
    assert back.floats is not None and back.floats.dtype == np.float32
    assert back.bytes8 is not None and back.bytes8.dtype == np.uint8


def test_a_large_array_is_cheap_in_memory() -> None:
    import tracemalloc

    class Frame(Observation):
        pixels: np.ndarray[Any, Any]

    codec = observation_codec_for(Frame)
    array = np.zeros(16 * 2**20, np.uint8)
    data = codec.encode_native(Frame(pixels=array))
    assert len(data) < array.nbytes + 200
    tracemalloc.start()
    try:
        codec.decode_native(data)
        assert tracemalloc.get_traced_memory()[1] < 1.1 * array.nbytes
    finally:
        tracemalloc.stop()


def test_several_environments_in_one_keep_their_arrays() -> None:
    codec = observation_codec_for(None)
    obs = {"reward": np.array([1.0, 2.0]), "done": np.array([True, False]), "truncated": np.array([False, True])}
    decoded = codec.decode_native(codec.encode_native(obs))
    np.testing.assert_array_equal(decoded.reward, obs["reward"])
    np.testing.assert_array_equal(decoded.done, obs["done"])
    from_json: Any = codec.decode_ws_json(codec.encode_ws_json(obs))
    assert (from_json.reward, from_json.done, from_json.truncated) == ([1.0, 2.0], [True, False], [False, True])


def test_texts_of_unlike_lengths_do_not_make_a_huge_array() -> None:
    with pytest.raises(errors.InvalidPayload, match="too long"):
        codec_for(Typed).from_builtins({"any": ["x" * 100_000, *["y"] * 100_000]})
    assert codec_for(Typed).from_builtins({"any": ["x", "yy"]}).any.tolist() == ["x", "yy"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("array", "lists"),
    [
        (np.array([[1, 2]], np.uint8), [[1, 2]]),
        (np.array(True), True),
        (np.array([1.5], np.float16), [1.5]),
        (np.array([0.1], np.longdouble), [0.1]),
        (np.array([1j]), ["1j"]),
        (np.array(["2024-01-01", "NaT"], "M8[D]"), ["2024-01-01", "NaT"]),
        (np.array([3], "m8[s]"), [3]),
        (np.array([b"\xff"]), ["/w=="]),
        (np.array([(1, 2.0)], [("a", "i4"), ("b", "f4")]), {"a": [1], "b": [2.0]}),
        (np.zeros((0, 3)), []),
    ],
    ids=str,
)
def test_arrays_of_every_dtype_become_lists(array: Any, lists: Any) -> None:
    assert jsonable({"a": array}) == {"a": lists}
    assert json.loads(observation_codec_for(None).encode_ws_json({"a": array}))["observation"] == {"a": lists}
