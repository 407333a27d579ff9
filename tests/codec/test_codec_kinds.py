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


class First(pydantic.BaseModel):
    kind: Literal["first"] = "first"
    x: int


class Second(pydantic.BaseModel):
    kind: Literal["second"] = "second"
    y: int


def test_a_union_of_pydantic_models_is_a_class_too() -> None:
    codec: Any = codec_for(First | Second)  # type: ignore[arg-type]
    assert codec.decode_msgpack(codec.encode_msgpack(Second(y=1))) == Second(y=1)
    assert codec.decode_json(codec.encode_json(First(x=1))) == First(x=1)
    assert set(codec.schema()["$defs"]) == {"First", "Second"}


def test_pydantic_dataclass_is_validated() -> None:
    @pydantic.dataclasses.dataclass
    class Checked:
        x: int = pydantic.Field(gt=0)

    codec = codec_for(Checked)
    assert codec.decode_msgpack(codec.encode_msgpack(Checked(x=1))) == Checked(x=1)
    assert codec.decode_json(codec.encode_json(Checked(x=1))) == Checked(x=1)
    with pytest.raises(errors.InvalidPayload):
        codec.decode_json(b'{"x": 0}')


def test_a_model_holds_arrays_and_structs() -> None:
    codec = codec_for(ModelHoldsAll)
    value = ModelHoldsAll(
        frozen=Frozen("a"), point=Point(1), inner=MODEL, array=np.arange(3), floats=np.ones((2, 2), np.float32)
    )
    for back in (codec.decode_msgpack(codec.encode_msgpack(value)), codec.decode_json(codec.encode_json(value))):
        assert isinstance(back.array, np.ndarray) and back.array.tolist() == [0, 1, 2]
        assert back.floats is not None and back.floats.dtype == np.float32 and back.floats.shape == (2, 2)
        assert back.point == Point(1)


class Node(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    pixels: npt.NDArray[np.uint8]
    children: list[Node] = []
    named: dict[str, Node] = {}


def test_a_model_that_contains_itself_gets_its_arrays_at_every_depth() -> None:
    leaf = Node(pixels=np.zeros(2, np.uint8))
    value = Node(pixels=np.ones(1, np.uint8), children=[leaf], named={"a": leaf})
    codec = codec_for(Node)
    back = codec.decode_json(codec.encode_json(value))
    assert back.children[0].pixels.dtype == np.uint8
    assert back.named["a"].pixels.tolist() == [0, 0]


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(alias="theName")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.name)


def test_aliases_and_computed_fields_survive() -> None:
    codec = codec_for(Aliased)
    value = Aliased(theName="abc")
    assert codec.to_builtins(value) == {"name": "abc", "length": 3}
    assert codec.decode_msgpack(codec.encode_msgpack(value)) == value
    assert codec.decode_json(codec.encode_json(value)) == value
    assert codec.decode_json(b'{"theName": "abc"}') == value


class Wider(Observation):
    text: str = "w"
    extra: list[int] = []


class Base(Observation):
    text: str = ""


@dataclasses.dataclass
class NoReward:
    text: str


class OtherModel(pydantic.BaseModel):
    text: str = "p"
    reward: int = 4
    done: bool = True


@pytest.mark.parametrize(
    ("sent", "text", "reward", "done"),
    [
        (Wider(text="w", extra=[1], reward=2), "w", 2, False),
        ({"text": "d", "reward": 3, "done": True, "extra": [1]}, "d", 3, True),
        (NoReward("n"), "n", None, False),
        (OtherModel(), "p", 4, True),
        (msgspec.defstruct("Ad", [("text", str)])("a"), "a", None, False),
    ],
    ids=["subclass", "dict", "no reward", "pydantic", "no fields of ours"],
)
@pytest.mark.parametrize("wire", ["native", "ws"])
def test_any_object_may_be_an_observation(sent: Any, text: str, reward: Any, done: bool, wire: str) -> None:
    for cls in (Base, None):
        codec: Any = observation_codec_for(cls)
        if wire == "native":
            decoded = codec.decode_native(codec.encode_native(sent))
        else:
            decoded = codec.decode_ws_json(codec.encode_ws_json(sent))
        got = decoded.observation if cls is None else msgspec.structs.asdict(decoded.observation)
        assert got["text"] == text
        assert (decoded.reward, decoded.done) == (reward, done)
        if cls is None and hasattr(sent, "extra"):
            assert got["extra"] == [1]
            assert not {"reward", "done", "truncated"} & set(got)


def test_a_reader_without_reward_fields_still_gets_them() -> None:
    codec = observation_codec_for(NoReward)
    sent = Base(text="x", reward=1, done=True, truncated=True, metadata={"a": 1})
    for decoded in (codec.decode_native(codec.encode_native(sent)), codec.decode_ws_json(codec.encode_ws_json(sent))):
        assert decoded.observation == NoReward("x")
        assert (decoded.reward, decoded.done, decoded.truncated, decoded.metadata) == (1, True, True, {"a": 1})


def test_metadata_stays_in_an_untyped_observation_and_is_given() -> None:
    codec = observation_codec_for(None)
    decoded = codec.decode_native(codec.encode_native(Base(metadata={"a": 1}, reward=1)))
    assert decoded.observation == {"text": "", "metadata": {"a": 1}}
    assert decoded.metadata == {"a": 1}


def test_codecs_are_built_once() -> None:
    assert codec_for(Rich) is codec_for(Rich)
    assert codec_for(None) is codec_for(None)
    assert observation_codec_for(Base) is observation_codec_for(Base)


def test_a_class_that_cannot_travel_is_refused_when_the_codec_is_made() -> None:
    class Untagged(msgspec.Struct):
        either: Point | Base

    with pytest.raises(errors.UsageError, match="Untagged cannot travel: If a type union"):
        codec_for(Untagged)
    with pytest.raises(errors.UsageError, match="array_like"):
        observation_codec_for(ArrayLike)
