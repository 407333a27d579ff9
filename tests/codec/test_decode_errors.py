"""Bad input: one typed error each, naming the field, and nothing else gets out."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for, decode_any_msgpack, observation_codec_for
from openenv_async.environment import Action


class Kind(enum.Enum):
    A = "a"


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: int


class PydPoint(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    x: int


class Moves(Action):
    moves: list[Point] = []
    kind: Kind = Kind.A
    mode: Literal["fast"] = "fast"
    table: dict[str, Point] = {}
    model: PydPoint | None = None


@pytest.mark.parametrize(
    ("given", "message", "path", "problem"),
    [
        (
            {"moves": [{"x": "a"}]},
            "Invalid message: expected `int`, got `str` at `moves[0].x`",
            "moves[0].x",
            {"type": "int_type", "loc": ["moves", 0, "x"], "msg": "Expected `int`, got `str`", "input": "a"},
        ),
        (
            {"moves": [{}]},
            "Invalid message: object missing required field `x` at `moves[0]`",
            "moves[0].x",
            {"type": "missing", "loc": ["moves", 0, "x"], "msg": "Object missing required field `x`"},
        ),
        (
            {"other": 1},
            "Invalid message: object contains unknown field `other`",
            "other",
            {"type": "extra_forbidden", "loc": ["other"], "msg": "Object contains unknown field `other`", "input": 1},
        ),
        (
            {"kind": "b"},
            "Invalid message: invalid enum value 'b' at `kind`",
            "kind",
            {"type": "enum", "loc": ["kind"], "msg": "Invalid enum value 'b'", "input": "b"},
        ),
        (
            {"table": {"k": {"x": None}}},
            "Invalid message: expected `int`, got `null` at `table[...].x`",
            "table[...].x",
            {"type": "int_type", "loc": ["table", "...", "x"], "msg": "Expected `int`, got `null`"},
        ),
        ([], "Invalid message: expected `object`, got `array`", "", None),
    ],
    ids=["type", "missing", "extra", "enum", "in a dict", "no object"],
)
def test_a_struct_refuses_with_the_path(given: Any, message: str, path: str, problem: dict[str, Any] | None) -> None:
    codec = codec_for(Moves)
    for decode, data in decodes(codec, given):
        with pytest.raises(errors.InvalidPayload) as caught:
            decode(data)
        # msgspec says `None` of a Python value and `null` of a decoded one.
        assert str(caught.value).replace("`None`", "`null`") == message
        assert caught.value.path == path
        if problem is not None:
            assert [error | {"msg": error["msg"].replace("`None`", "`null`")} for error in caught.value.errors] == [
                problem
            ]


def test_pydantic_refuses_with_its_own_list() -> None:
    codec = codec_for(PydPoint)
    with pytest.raises(pydantic.ValidationError) as reference:
        PydPoint.model_validate({"y": 2})
    with pytest.raises(errors.InvalidPayload) as caught:
        codec.decode_json(b'{"y": 2}')
    assert caught.value.message == "Invalid message"  # OpenEnv's, on its wire
    assert str(caught.value) == "Invalid message: Field required at `x`"
    assert caught.value.path == "x"
    assert caught.value.errors == msgspec.json.decode(reference.value.json())
    assert {"type", "loc", "msg", "input", "url"} <= set(caught.value.errors[0])


def test_a_model_inside_a_struct_refuses_with_the_whole_path() -> None:
    with pytest.raises(errors.InvalidPayload) as caught:
        codec_for(Moves).decode_json(b'{"model": {"x": "no"}}')
    assert caught.value.path == "model.x"
    assert caught.value.errors[0]["loc"] == ["model", "x"]
    assert caught.value.errors[0]["type"] == "int_parsing"


RAISED = [
    ValueError("no such move"),
    TypeError("no such move"),
    RuntimeError("no such move"),
    ZeroDivisionError("no such move"),
    KeyboardInterrupt("no such move"),
    SystemExit("no such move"),
]


def _struct(raised: BaseException) -> Any:
    class Checked(Action):
        x: int = 0

        def __post_init__(self) -> None:
            raise raised

    return Checked


def _dataclass(raised: BaseException) -> Any:
    @dataclasses.dataclass
    class Checked:
        x: int = 0

        def __post_init__(self) -> None:
            raise raised

    return Checked


def _pydantic(raised: BaseException) -> Any:
    class Checked(pydantic.BaseModel):
        x: int = 0

        @pydantic.field_validator("x", mode="before")
        @classmethod
        def check(cls, value: Any) -> Any:
            raise raised

    return Checked


def _nested(raised: BaseException) -> Any:
    model = _pydantic(raised)
    return msgspec.defstruct("Checked", [("x", model)])


def decodes(codec: Any, given: Any) -> list[tuple[Callable[[Any], Any], Any]]:
    return [
        (codec.decode_json, msgspec.json.encode(given)),
        (codec.decode_msgpack, msgspec.msgpack.encode(given)),
        (codec.from_builtins, given),
    ]


@pytest.mark.parametrize("make", [_struct, _dataclass, _pydantic, _nested])
@pytest.mark.parametrize("raised", RAISED, ids=lambda exc: type(exc).__name__)
def test_whatever_a_validator_raises_is_a_refusal(make: Any, raised: BaseException) -> None:
    codec = codec_for(make(raised))
    given = {"x": {"x": 1}} if make is _nested else {"x": 1}
    for decode, data in decodes(codec, given):
        with pytest.raises(errors.InvalidPayload) as caught:
            decode(data)
        assert "no such move" in str(caught.value) + str(caught.value.errors)
        assert msgspec.json.encode(caught.value.errors)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class UnprintableValue(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("make", [_struct, _dataclass, _pydantic, _nested])
@pytest.mark.parametrize("raised", [Unprintable(), UnprintableValue(), ValueError("\ud800"), ValueError("x" * 10**6)])
def test_an_exception_with_unprintable_text_does_not_break_the_error(make: Any, raised: Exception) -> None:
    codec = codec_for(make(raised))
    with pytest.raises(errors.InvalidPayload) as caught:
        codec.decode_json(b'{"x": {"x": 1}}' if make is _nested else b'{"x": 1}')
    assert msgspec.json.encode([str(caught.value), caught.value.path, caught.value.errors])


DEEP = 100_000
MALFORMED_MSGPACK = {
    "truncated": b"\x82\xa1x",
    "empty": b"",
    "utf8": b"\x81\xa1x\xa1\xff",
    "reserved": b"\xc1",
    "trailing": b"\x80\x01",
    "huge array": b"\x81\xa1x\xdd\xff\xff\xff\xff",
    "huge text": b"\x81\xa1x\xdb\xff\xff\xff\xff",
    "deep": b"\x81\xa1x" + b"\x91" * DEEP + b"\x01",
    "deep maps": b"\x81\xa1x" * DEEP + b"\x01",
    "unhashable": b"\x81\x81\x01\x02\x01",
}
MALFORMED_JSON = {
    "truncated": b'{"x": ',
    "empty": b"",
    "not json": b"hello",
    "utf8": b'{"x": "\xff"}',
    "trailing": b"{} {}",
    "deep": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"x":' * DEEP + b"1" + b"}" * DEEP,
}


class Anything(msgspec.Struct):
    x: Any = None


class PydAnything(pydantic.BaseModel):
    x: Any = None


@dataclasses.dataclass
class PlainAnything:
    x: Any = None


@pytest.mark.parametrize("cls", [Anything, PydAnything, PlainAnything, None, Any], ids=str)
@pytest.mark.parametrize("name", MALFORMED_MSGPACK)
def test_malformed_msgpack_is_a_refusal(cls: Any, name: str) -> None:
    data = MALFORMED_MSGPACK[name]
    for decode in (codec_for(cls).decode_msgpack, observation_codec_for(cls).decode_native, decode_any_msgpack):
        with pytest.raises(errors.InvalidPayload, match="Invalid message") as caught:
            decode(data)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("cls", [Anything, PydAnything, PlainAnything, None, Any], ids=str)
@pytest.mark.parametrize("name", MALFORMED_JSON)
def test_malformed_json_is_a_refusal(cls: Any, name: str) -> None:
    with pytest.raises(errors.InvalidPayload, match="Invalid message") as caught:
        codec_for(cls).decode_json(MALFORMED_JSON[name])
    assert len(str(caught.value)) < 300
    if name.startswith("deep"):
        assert "nested too deep" in str(caught.value)
    with pytest.raises(errors.InvalidPayload):
        observation_codec_for(cls).decode_ws_json(MALFORMED_JSON[name])


class Keyed(TypedDict):
    x: int


@dataclasses.dataclass
class Plain:
    x: int = 0


@pytest.mark.parametrize("cls", [Plain, Keyed])
def test_unknown_keys_are_refused_where_the_class_cannot_say(cls: Any) -> None:
    codec = codec_for(cls)
    given = {"x": 1, "typo": 2}
    for decode, data in decodes(codec, given):
        with pytest.raises(errors.InvalidPayload, match="unknown field `typo`") as caught:
            decode(data)
        assert caught.value.path == "typo"
    lenient = codec_for(cls, ignore_unknown=True)
    assert lenient.decode_json(msgspec.json.encode(given)) == codec.decode_json(b'{"x": 1}')


@pytest.mark.parametrize("value", [[], 1, None, "x"])
def test_an_untyped_value_must_be_an_object(value: Any) -> None:
    with pytest.raises(errors.InvalidPayload, match="expected `object`"):
        codec_for(None).decode_json(msgspec.json.encode(value))
    anything: Any = Any
    assert codec_for(anything).decode_json(msgspec.json.encode(value)) == value
