"""Values that cannot travel: the error names the field, whatever the object does when touched."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pydantic
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for, encode_any_msgpack, jsonable, observation_codec_for
from openenv_async.environment import Observation


class Foo:
    pass


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__


class Explosive:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise SystemExit("boom")


class Frames(Observation):
    frames: list[Any] = []
    reward: Any = None


class PydFrames(pydantic.BaseModel):
    frames: list[Any] = []
    reward: Any = None
    done: bool = False
    metadata: dict[str, Any] = {}


@dataclasses.dataclass
class PlainFrames:
    frames: list[Any]
    reward: Any = None


WIRES = ["encode_native", "encode_ws_json", "encode_http_json"]


CLASSES = [Frames, PydFrames, PlainFrames, dict]
BAD = [Foo(), Mute(), Explosive(), lambda: 1, Foo, (i for i in [1])]
# pydantic reads a generator, and so it travels as a list.
HOPELESS = [(cls, bad) for bad in BAD for cls in CLASSES if not (cls is PydFrames and inspect.isgenerator(bad))]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("cls", "bad"), HOPELESS, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_a_value_that_cannot_travel_is_named(wire: str, cls: Any, bad: Any) -> None:
    obs = cls(frames=[1, 2, 3, bad])
    with pytest.raises(errors.UnencodableValue) as caught:
        getattr(observation_codec_for(cls), wire)(obs)
    assert str(caught.value) == f"observation.frames[3]: cannot encode an object of type {type(bad).__qualname__}"
    assert caught.value.path == "observation.frames[3]"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("cls", [Frames, PydFrames, PlainFrames, dict], ids=lambda cls: cls.__name__)
def test_a_value_that_contains_itself_is_named(wire: str, cls: Any) -> None:
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    with pytest.raises(errors.UnencodableValue, match="contains itself|[Cc]ircular|recursion|once"):
        getattr(observation_codec_for(cls), wire)(cls(frames=[loop]))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("cls", [Frames, PydFrames, PlainFrames, dict], ids=lambda cls: cls.__name__)
def test_a_value_nested_too_deep_is_an_error(wire: str, cls: Any) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(errors.UnencodableValue):
        getattr(observation_codec_for(cls), wire)(cls(frames=[deep]))


class Sabotaged(pydantic.BaseModel):
    x: int = 1

    @pydantic.field_serializer("x")
    def write(self, value: int) -> int:
        raise SystemExit("from a serializer")


@pytest.mark.parametrize("wire", WIRES)
def test_a_serializer_that_raises_is_an_unencodable_value(wire: str) -> None:
    codec = observation_codec_for(Sabotaged)
    with pytest.raises(errors.UnencodableValue, match="from a serializer"):
        getattr(codec, wire)(Sabotaged())
    with pytest.raises(errors.UnencodableValue, match=r"observation\.frames\[0\]: .*from a serializer"):
        getattr(observation_codec_for(Frames), wire)(Frames(frames=[Sabotaged()]))
    with pytest.raises(errors.UnencodableValue, match="from a serializer"):
        codec_for(Sabotaged).encode_json(Sabotaged())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("obs", [1, None, "text", [1], Foo(), object])
def test_what_has_no_fields_is_no_observation(wire: str, obs: Any) -> None:
    with pytest.raises(errors.UnencodableValue, match="^observation: must have named fields"):
        getattr(observation_codec_for(None), wire)(obs)


def test_free_values_name_the_bad_part() -> None:
    value = {"a": [{"b c": Foo()}]}
    for encode in (encode_any_msgpack, jsonable):
        with pytest.raises(errors.UnencodableValue, match=r"^a\[0\]\['b c'\]: cannot encode an object of type Foo$"):
            encode(value)
    with pytest.raises(errors.UnencodableValue, match=r"^cannot encode an object of type Foo$"):
        encode_any_msgpack(Foo())


@pytest.mark.parametrize("wire", WIRES)
def test_an_integer_too_long_to_write_is_an_error_or_travels(wire: str) -> None:
    codec = observation_codec_for(None)
    obs = {"n": 10**5000}
    if wire == "encode_native":
        assert codec.decode_native(codec.encode_native(obs)).observation == obs
    else:
        with pytest.raises(errors.UnencodableValue):
            getattr(codec, wire)(obs)
