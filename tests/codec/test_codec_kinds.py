"""Every kind of class, on both wires, alone and nested in each other."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
import pydantic
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.environment import Action, Observation, State


class Suit(enum.Enum):
    HEARTS = "hearts"
    SPADES = "spades"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(msgspec.Struct):
    x: int
    y: float = 0.5


class Move(msgspec.Struct, tag="move"):
    to: Point


class Wait(msgspec.Struct, tag="wait"):
    ticks: int = 1


@dataclasses.dataclass
class Plain:
    x: int
    data: bytes = b""
    reward: float | None = None
    done: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    tags: frozenset[str] = frozenset()
    inner: Point | None = None


class Keyed(TypedDict):
    x: int
    name: NotRequired[str]


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    x: int
    text: bytes = b"plain"
    suit: Suit = Suit.HEARTS
    when: datetime.datetime | None = None
    chosen: set[int] = set()


class Rich(Action):
    text: Annotated[str, msgspec.Meta(description="what to say")]
    suit: Suit = Suit.HEARTS
    level: Level = Level.LOW
    mode: Literal["fast", "slow"] = "fast"
    what: Move | Wait = msgspec.field(default_factory=Wait)
    maybe: int | None = None
    when: datetime.datetime | None = None
    ident: uuid.UUID | None = None
    chosen: set[int] = set()
    data: bytes = b""
    table: dict[int, list[float]] = {}
    pair: tuple[int, str] = (1, "a")


class HoldsAll(Observation):
    plain: Plain
    frozen: Frozen
    model: Model
    models: list[Model] = []
    keyed: Keyed | None = None


@dataclasses.dataclass
class PlainHoldsModel:
    model: Model
    maybe: Model | None = None


class ModelHoldsAll(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    frozen: Frozen
    point: Point
    points: list[Point] = []
    inner: Model
    array: np.ndarray[Any, Any] | None = None
    floats: npt.NDArray[np.float32] | None = None


class Renamed(Observation, rename="camel"):
    two_words: int


class ArrayLike(msgspec.Struct, array_like=True):
    x: int
    y: str


NOW = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC)
RICH = Rich(
    text="héllo",
    suit=Suit.SPADES,
    level=Level.HIGH,
    mode="slow",
    what=Move(Point(1)),
    maybe=3,
    when=NOW,
    ident=uuid.UUID(int=7),
    chosen={1, 2},
    data=b"\x00\xff",
    table={1: [0.5]},
    metadata={"k": [1, {"a": None}]},
)
MODEL = Model(x=1, suit=Suit.SPADES, when=NOW, chosen={3})
HOLDS_ALL = HoldsAll(
    plain=Plain(1, b"\xfe"),
    frozen=Frozen("f", frozenset({"a"}), Point(2)),
    model=MODEL,
    models=[MODEL, Model(x=2)],
    keyed={"x": 1, "name": "n"},
    reward=1.5,
    done=True,
    metadata={"m": 1},
)
VALUES = [
    RICH,
    Plain(3, b"\x80\x81"),
    Frozen("f", frozenset({"a", "b"}), Point(2, 3.5)),
    MODEL,
    HOLDS_ALL,
    PlainHoldsModel(MODEL, Model(x=9)),
    ModelHoldsAll(frozen=Frozen("a"), point=Point(1), points=[Point(2), Point(3)], inner=MODEL),
    State(episode_id="e", step_count=3),
    Renamed(two_words=2),
    ArrayLike(1, "y"),
]


@pytest.mark.parametrize("wire", ["msgpack", "json"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal(value: Any, wire: str) -> None:
    codec = codec_for(type(value))
    if wire == "msgpack":
        assert codec.decode_msgpack(codec.encode_msgpack(value)) == value
        assert codec.decode_msgpack(msgspec.Raw(codec.encode_msgpack(value))) == value
        assert codec.decode_msgpack(memoryview(codec.encode_msgpack(value))) == value
    else:
        assert codec.decode_json(codec.encode_json(value)) == value
        assert codec.decode_json(codec.encode_json(value).decode()) == value
        assert codec.decode_json(msgspec.Raw(codec.encode_json(value))) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_builtins_are_what_json_says_and_come_back(value: Any) -> None:
    codec = codec_for(type(value))
    assert codec.to_builtins(value) == msgspec.json.decode(codec.encode_json(value))
    assert codec.from_builtins(codec.to_builtins(value)) == value
    assert codec.from_builtins(value) is value


OBSERVATIONS = [value for value in VALUES if not isinstance(value, ArrayLike)]


@pytest.mark.parametrize("wire", ["native", "ws"])
@pytest.mark.parametrize("value", OBSERVATIONS, ids=lambda value: type(value).__name__)
def test_an_observation_comes_back_equal(value: Any, wire: str) -> None:
    codec = observation_codec_for(type(value))
    if wire == "native":
        decoded = codec.decode_native(codec.encode_native(value))
    else:
        decoded = codec.decode_ws_json(codec.encode_ws_json(value))
    assert decoded.observation == value
    assert decoded.reward == getattr(value, "reward", None)
    assert decoded.done is getattr(value, "done", False)
    assert decoded.metadata == (getattr(value, "metadata", None) or None)


def test_a_typed_dict_comes_back_on_both_wires() -> None:
    codec: Any = codec_for(Keyed)
    value: Keyed = {"x": 1, "name": "n"}
    assert codec.decode_msgpack(codec.encode_msgpack(value)) == value
    assert codec.decode_json(codec.encode_json(value)) == value
    watched: Any = observation_codec_for(Keyed)
    decoded = watched.decode_native(watched.encode_native({**value, "reward": 2, "done": True}))
    assert (decoded.observation, decoded.reward, decoded.done) == (value, 2, True)


def test_a_union_of_tagged_structs_is_a_class_too() -> None:
    codec: Any = codec_for(Move | Wait)  # type: ignore[arg-type]
    assert codec.decode_msgpack(codec.encode_msgpack(Wait(3))) == Wait(3)
    assert codec.decode_json(codec.encode_json(Move(Point(1)))) == Move(Point(1))
    watched: Any = observation_codec_for(Move | Wait)  # type: ignore[arg-type]
    assert watched.decode_native(watched.encode_native(Wait(3))).observation == Wait(3)
    assert watched.decode_ws_json(watched.encode_ws_json(Wait(3))).observation == Wait(3)
    assert codec.schema()["anyOf"]


def test_a_model_holds_arrays_and_structs() -> None:
    codec = codec_for(ModelHoldsAll)
    value = ModelHoldsAll(
        frozen=Frozen("a"), point=Point(1), inner=MODEL, array=np.arange(3), floats=np.ones((2, 2), np.float32)
    )
    for back in (codec.decode_msgpack(codec.encode_msgpack(value)), codec.decode_json(codec.encode_json(value))):
        assert isinstance(back.array, np.ndarray) and back.array.tolist() == [0, 1, 2]
        assert back.floats is not None and back.floats.dtype == np.float32 and back.floats.shape == (2, 2)
        assert back.point == Point(1)


def test_codecs_are_built_once() -> None:
    assert codec_for(Rich) is codec_for(Rich)
    assert codec_for(None) is codec_for(None)
    assert observation_codec_for(Observation) is observation_codec_for(Observation)


def test_a_class_that_cannot_travel_is_refused_when_the_codec_is_made() -> None:
    class Untagged(msgspec.Struct):
        either: Point | State

    with pytest.raises(errors.UsageError, match="Untagged cannot travel: If a type union"):
        codec_for(Untagged)
    with pytest.raises(errors.UsageError, match="array_like"):
        observation_codec_for(ArrayLike)
