"""JSON Schema of every kind of class."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
import pydantic
import pytest

from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.environment import Action, Observation, State


class Suit(enum.Enum):
    HEARTS = "hearts"


class Point(msgspec.Struct):
    """A point."""

    x: int
    again: Point | None = None


class Go(msgspec.Struct, tag=True):
    to: Point


class Stop(msgspec.Struct, tag=True):
    pass


class PydInner(pydantic.BaseModel):
    y: int


class PydModel(pydantic.BaseModel):
    inner: PydInner
    name: str = pydantic.Field("x", description="who")


@dataclasses.dataclass
class Plain:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)


class Keyed(TypedDict):
    x: int


class Rich(Action):
    """What can be done."""

    text: Annotated[str, msgspec.Meta(description="what to say", max_length=10)]
    suit: Suit = Suit.HEARTS
    mode: Literal["fast", "slow"] = "fast"
    move: Go | Stop | None = None
    maybe: int | None = None
    raw: bytes = b""
    pixels: npt.NDArray[np.float32] | None = None
    any: np.ndarray[Any, Any] | None = None
    scalar: np.uint8 | None = None
    model: PydModel | None = None
    plain: Plain | None = None


def test_a_structs_schema_has_its_properties_at_the_top() -> None:
    schema = codec_for(Rich).schema()
    assert "$ref" not in schema
    assert (schema["title"], schema["type"], schema["description"]) == ("Rich", "object", "What can be done.")
    assert schema["required"] == ["text"] and schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["text"] == {"type": "string", "description": "what to say", "maxLength": 10}
    assert properties["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}
    assert properties["mode"] == {"enum": ["fast", "slow"], "default": "fast"}
    assert properties["raw"] == {"type": "string", "contentEncoding": "base64", "format": "base64", "default": ""}
    array = {"type": "array", "description": "a numpy array of float32", "dtype": "float32"}
    assert properties["pixels"]["anyOf"][0] == array
    assert properties["any"]["anyOf"][0] == {"type": "array", "description": "a numpy array"}
    assert properties["scalar"]["anyOf"][0]["type"] == "integer"
    assert schema["$defs"]["Suit"]["enum"] == ["hearts"]
    assert {"Go", "Stop", "Point", "PydInner", "Plain"} <= set(schema["$defs"])
    assert set(schema["metadata"] if "metadata" in schema else properties["metadata"]) >= {"type"}


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(references, node))
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set()


class SameNameA(msgspec.Struct):
    a: PydModel
    b: Plain


class ModelWithStruct(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    point: Point
    array: np.ndarray[Any, Any]
    inner: PydInner


@pytest.mark.parametrize(
    "cls", [Rich, Point, Go, Plain, Keyed, PydModel, ModelWithStruct, SameNameA, Observation, State, Action]
)
def test_every_reference_leads_somewhere_and_it_is_json(cls: Any) -> None:
    schema = codec_for(cls).schema()
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
    assert schema["type"] == "object" and "properties" in schema and "$ref" not in schema
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_a_class_that_contains_itself_keeps_its_definition() -> None:
    schema = codec_for(Point).schema()
    assert schema["properties"]["x"] == {"type": "integer"}
    assert schema["$defs"]["Point"]["properties"]["x"] == {"type": "integer"}


def test_pydantics_schema_is_its_own() -> None:
    assert codec_for(PydModel).schema() == PydModel.model_json_schema()
    assert observation_codec_for(PydModel).model.schema() == PydModel.model_json_schema()


def test_pydantics_arrays_and_structs_are_described() -> None:
    schema = codec_for(ModelWithStruct).schema()
    assert schema["title"] == "ModelWithStruct"
    assert schema["properties"]["array"]["type"] == "array"
    assert schema["required"] == ["point", "array", "inner"]


def test_two_definitions_of_one_name_are_kept_apart() -> None:
    def one() -> Any:
        class Thing(pydantic.BaseModel):
            a: int

        class HoldsOne(pydantic.BaseModel):
            thing: Thing

        return HoldsOne

    def two() -> Any:
        class Thing(pydantic.BaseModel):
            b: str

        class HoldsTwo(pydantic.BaseModel):
            thing: Thing

        return HoldsTwo

    both = msgspec.defstruct("Both", [("one", one()), ("two", two())])
    schema = codec_for(both).schema()
    fields = [
        next(
            iter(
                schema["$defs"][schema["properties"][name]["properties"]["thing"]["$ref"].rpartition("/")[2]][
                    "properties"
                ]
            )
        )
        for name in ("one", "two")
    ]
    assert fields == ["a", "b"]


def test_no_class_means_any_object() -> None:
    assert codec_for(None).schema()["type"] == "object"
    assert codec_for(dict).schema() == codec_for(None).schema()


def test_defaults_that_json_cannot_hold_do_not_break_the_schema() -> None:
    class Holds(Observation):
        array: np.ndarray[Any, Any] = msgspec.field(default_factory=lambda: np.zeros(2))
        fixed: np.float32 = np.float32(1.5)
        inner: Point = msgspec.field(default_factory=lambda: Point(1))

    assert set(codec_for(Holds).schema()["properties"]) >= {"array", "fixed", "inner", "reward"}
