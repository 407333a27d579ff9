"""Any object with fields may be an observation, whatever class the reader wants."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest

from openenv_async.codec import observation_codec_for
from openenv_async.environment import Observation


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
