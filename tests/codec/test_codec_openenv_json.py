"""The JSON wire is OpenEnv's: for a pydantic observation, byte for value what its server writes."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import uuid
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for, jsonable, observation_codec_for
from openenv_async.environment import Observation


class Frame(pydantic.BaseModel):
    """Stands where OpenEnv's frame stands: its `data` is any dict."""

    data: dict[str, Any]


class PydObservation(pydantic.BaseModel):
    """The fields and settings of OpenEnv's base class."""

    model_config = pydantic.ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=True)

    done: bool = False
    reward: bool | int | float | None = None
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)


class Colour(enum.Enum):
    RED = "red"


class Inner(pydantic.BaseModel):
    x: int = 1
    raw: bytes = b"inner"


@dataclasses.dataclass
class Side:
    n: int = 1


class Many(PydObservation):
    text: str = "t"
    raw: bytes = "héllo".encode()
    real: float = 1.0
    colour: Colour = Colour.RED
    when: datetime.datetime = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    day: datetime.date = datetime.date(2024, 1, 1)
    span: datetime.timedelta = datetime.timedelta(days=1, seconds=2.5)
    ident: uuid.UUID = uuid.UUID(int=5)
    price: decimal.Decimal = decimal.Decimal("1.10")
    where: pathlib.Path = pathlib.Path("/a")
    chosen: set[int] = {1}
    inner: Inner = Inner()
    side: Side = dataclasses.field(default_factory=Side)
    big: int = 2**80
    keyed: dict[int, str] = {1: "a"}
    number: complex = 1 + 2j
    secret: pydantic.SecretStr = pydantic.SecretStr("hidden")


Many.model_rebuild()


class WithTruncated(PydObservation):
    truncated: bool = False


def openenv_data(obs: Any) -> Any:
    """What OpenEnv 0.10.0 sends: the model's dump without reward and done, the rest beside it."""
    data: dict[str, Any] = {
        "observation": obs.model_dump(exclude={"reward", "done"}),
        "reward": obs.reward,
        "done": obs.done,
    }
    if obs.metadata:
        data["metadata"] = obs.metadata
    return json.loads(Frame(data=data).model_dump_json())["data"]


@pytest.mark.parametrize(
    "obs",
    [
        PydObservation(),
        PydObservation(reward=1, done=True, metadata={"a": [1, {"b": None}]}),
        PydObservation(reward=True),
        PydObservation(reward=math.nan, metadata={"x": math.inf}),
        PydObservation(metadata={"model": Inner(), "tuple": (1, 2), "raw": b"ok", "set": {1}, "none": {None: 1}}),
        Many(side=Side()),
        Many(side=Side(), real=-math.inf, reward=2.0),
    ],
    ids=lambda obs: f"{type(obs).__name__}-{obs.reward}-{len(obs.metadata)}",
)
def test_a_pydantic_observation_looks_as_openenv_sends_it(obs: PydObservation) -> None:
    codec = observation_codec_for(type(obs))
    assert json.loads(codec.encode_ws_json(obs)) == openenv_data(obs)
    state = codec_for(type(obs))
    assert json.loads(state.encode_json(obs)) == json.loads(Frame(data=obs.model_dump()).model_dump_json())["data"]


def test_truncated_stays_in_a_pydantic_observation_and_is_told_beside_it() -> None:
    codec = observation_codec_for(WithTruncated)
    quiet = WithTruncated()
    assert json.loads(codec.encode_ws_json(quiet)) == openenv_data(quiet)
    loud = WithTruncated(truncated=True)
    assert json.loads(codec.encode_ws_json(loud)) == openenv_data(loud) | {"truncated": True}
    decoded = codec.decode_ws_json(codec.encode_ws_json(loud))
    assert decoded.truncated is True and decoded.observation == loud
    # OpenEnv's own server has it only inside.
    assert codec.from_ws_builtins(openenv_data(loud)).truncated is True


class Board(Observation):
    text: str = "t"
    raw: bytes = b"\xff"
    pixels: np.ndarray[Any, Any] | None = None


@dataclasses.dataclass
class Flat:
    text: str = "t"
    reward: float | None = None
    done: bool = False


@pytest.mark.parametrize(
    ("obs", "data"),
    [
        (
            Board(),
            {
                "observation": {"text": "t", "raw": "/w==", "pixels": None, "metadata": {}},
                "reward": None,
                "done": False,
            },
        ),
        (
            Board(reward=1, done=True, truncated=True, metadata={"a": 1}, pixels=np.array([[1.0, math.nan]])),
            {
                "observation": {"text": "t", "raw": "/w==", "pixels": [[1.0, None]], "metadata": {"a": 1}},
                "reward": 1,
                "done": True,
                "metadata": {"a": 1},
                "truncated": True,
            },
        ),
        (Flat(), {"observation": {"text": "t"}, "reward": None, "done": False}),
        ({"x": {1}, "reward": 1.5, "done": False}, {"observation": {"x": [1]}, "reward": 1.5, "done": False}),
    ],
    ids=["defaults", "all", "dataclass", "dict"],
)
def test_the_data_of_a_frame(obs: Any, data: dict[str, Any]) -> None:
    for cls in (Board, None):
        codec: Any = observation_codec_for(cls)
        written = codec.encode_ws_json(obs)
        assert json.loads(written) == data
        assert type(json.loads(written)["reward"]) is type(data["reward"])


@pytest.mark.parametrize(
    ("reward", "sent"),
    [(None, None), (1, 1.0), (True, 1.0), (0.5, 0.5), (math.nan, None), (np.float32(1.5), 1.5), (np.array(2), 2.0)],
    ids=str,
)
def test_http_rewards_are_floats_and_metadata_is_always_there(reward: Any, sent: Any) -> None:
    for obs in (
        Board(reward=reward),
        PydObservation.model_construct(reward=reward, done=False, metadata={}),
        {"reward": reward},
    ):
        body = json.loads(observation_codec_for(None).encode_http_json(obs))
        assert body["reward"] == sent and (sent is None or type(body["reward"]) is float)
        assert body["metadata"] is None and body["done"] is False
    full = json.loads(observation_codec_for(Board).encode_http_json(Board(metadata={"a": 1})))
    assert full["metadata"] == full["observation"]["metadata"] == {"a": 1}


def test_an_http_reward_that_is_no_number_is_named() -> None:
    with pytest.raises(errors.UnencodableValue, match=r"observation\.reward: cannot be a float"):
        observation_codec_for(None).encode_http_json({"reward": "much"})


def test_nan_becomes_null_and_arrays_lists() -> None:
    value = {"a": math.nan, "b": [math.inf, -math.inf], "c": np.array([1.0, math.nan]), "d": np.float32("nan"), "e": 1j}
    expected = {"a": None, "b": [None, None], "c": [1.0, None], "d": None, "e": "1j"}
    assert jsonable(value) == expected
    for cls in (dict, PydObservation):
        codec: Any = codec_for(cls)
        assert json.loads(codec.encode_json(value)) == expected


def test_bytes_that_are_no_utf8_do_not_fail_a_pydantic_observation() -> None:
    class Raw(PydObservation):
        raw: bytes = b"\xff\xfe"
        good: bytes = b"good"

    data = json.loads(observation_codec_for(Raw).encode_ws_json(Raw(reward=math.nan)))
    assert data == {"observation": {"metadata": {}, "raw": "//4=", "good": "good"}, "reward": None, "done": False}


@pytest.mark.parametrize("cls", [Board, PydObservation, None])
def test_a_lone_surrogate_becomes_an_escape_that_python_reads(cls: Any) -> None:
    codec = observation_codec_for(cls)
    obs = (
        {"metadata": {"s": "\ud800x", "nan": math.nan}}
        if cls is None
        else cls(metadata={"s": "\ud800x", "nan": math.nan})
    )
    written = codec.encode_ws_json(obs)
    assert b"\\ud800x" in written
    assert json.loads(written)["observation"]["metadata"] == {"s": "\ud800x", "nan": None}
    decoded = codec.decode_ws_json(written)
    assert decoded.metadata == {"s": "\ud800x", "nan": None}


def test_json_that_only_python_writes_is_read() -> None:
    class Reals(msgspec.Struct):
        x: float
        s: str = ""

    codec = codec_for(Reals)
    assert codec.decode_json(b'{"x": Infinity, "s": "\\ud800"}') == Reals(math.inf, "\ud800")
    assert codec_for(None).decode_json(b'{"x": -Infinity}') == {"x": -math.inf}


def test_a_null_reward_reaches_a_class_that_takes_none_of_it() -> None:
    class Needs(msgspec.Struct):
        reward: float
        text: str = ""

    class Defaults(msgspec.Struct):
        reward: float = 0.0

    written = b'{"observation": {}, "reward": null, "done": false}'
    assert math.isnan(observation_codec_for(Needs).decode_ws_json(written).observation.reward)
    decoded = observation_codec_for(Defaults).decode_ws_json(written)
    assert decoded.observation.reward == 0.0 and decoded.reward is None


def test_openenvs_frame_gives_a_typed_observation() -> None:
    class Echo(Observation):
        echoed: str

    payload = {"observation": {"echoed": "hi", "metadata": {"k": 1}}, "reward": 0.5, "done": True, "metadata": {"k": 1}}
    decoded = observation_codec_for(Echo).from_ws_builtins(payload)
    assert decoded.observation == Echo(echoed="hi", reward=0.5, done=True, metadata={"k": 1})
    untyped = observation_codec_for(None).from_ws_builtins(payload)
    assert untyped.observation == {"echoed": "hi", "metadata": {"k": 1}}
    assert (untyped.reward, untyped.done, untyped.metadata, untyped.truncated) == (0.5, True, {"k": 1}, False)


def test_a_struct_inside_a_model_and_a_model_inside_a_struct_keep_their_own_bytes() -> None:
    class Deep(msgspec.Struct):
        raw: bytes

    class Holder(PydObservation):
        deep: Deep
        raw: bytes = b"text"

    class Outer(Observation):
        inner: Inner
        raw: bytes

    holder, outer = Holder(deep=Deep(b"\xff")), Outer(inner=Inner(), raw=b"\xff")
    assert json.loads(codec_for(Holder).encode_json(holder))["deep"] == {"raw": "/w=="}
    for value in (holder, outer):
        codec: Any = codec_for(type(value))
        assert codec.decode_json(codec.encode_json(value)) == value


def test_keys_become_text_as_pydantic_writes_them() -> None:
    value = {1: 1, None: 2, (1, "a"): 3, 2.5: 4, Colour.RED: 5}
    expected = json.loads(Frame(data={"v": value}).model_dump_json())["data"]["v"]
    assert jsonable(value) == expected
    assert json.loads(codec_for(None).encode_json(value)) == expected


@pytest.mark.parametrize("data", ["[]", '{"observation": 3}', '{"observation": [], "reward": 1}'])
def test_a_frame_without_an_object_is_refused(data: str) -> None:
    with pytest.raises(errors.InvalidPayload, match="expected `object`"):
        observation_codec_for(Board).decode_ws_json(data)
