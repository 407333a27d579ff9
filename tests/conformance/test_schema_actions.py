"""Actions made from schemas: they fit, they are the same each time, and what cannot be made is said."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pydantic
import pytest
from msgspec import Meta

from openenv_async import Action
from openenv_async.codec import codec_for
from openenv_async.conformance.comparing import difference
from openenv_async.conformance.schema.actions import CannotGenerate, actions
from openenv_async.conformance.schema.problems import schema_problems
from openenv_async.conformance.server.bad_messages import wrong_actions


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Move(msgspec.Struct, tag="move"):
    x: Annotated[int, Meta(ge=3, lt=6)]
    y: float = 0.5


class Say(msgspec.Struct, tag="say"):
    text: Annotated[str, Meta(min_length=12, max_length=14)]


class Rich(Action):
    colour: Colour
    act: Move | Say
    square: Annotated[str, Meta(pattern="^[a-h][1-8]$")]
    ratio: Annotated[float, Meta(gt=0, lt=0.25)]
    pair: tuple[int, str]
    several: Annotated[list[Move], Meta(min_length=2)]
    named: dict[str, int]
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    data: bytes = b""
    at: Annotated[datetime, Meta(tz=True)] | None = None


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list)
    next: Tree | None = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    word: str = pydantic.Field(pattern="^(north|south)$")
    even: int = pydantic.Field(multiple_of=2, ge=3)
    who: uuid.UUID
    items: set[int] = pydantic.Field(min_length=3)
    note: str = pydantic.Field(default="", examples=["an example"])


class Listed(msgspec.Struct):
    guess: Annotated[str, Meta(pattern=r"^\d{3}-(x|y){7}$", examples=["123-xyxyxyx"])]


@pytest.mark.parametrize("cls", [Rich, Tree, Model, Listed, Action])
def test_what_is_made_is_taken_by_the_class(cls: Any) -> None:
    codec = codec_for(cls)
    schema = codec.schema()
    assert schema_problems(schema) == []
    made = actions(schema, 8)
    assert made == actions(schema, 8)
    for action in made:
        codec.from_builtins(action)
        codec.decode_json(msgspec.json.encode(action))
        codec.decode_msgpack(msgspec.msgpack.encode(action))


def test_one_action_after_the_other_tries_every_member_and_branch() -> None:
    made = actions(codec_for(Rich).schema(), 4)
    assert {action["colour"] for action in made} == {"red", "blue"}
    assert {action["act"]["type"] for action in made} == {"move", "say"}
    assert "maybe" not in made[0]
    assert "maybe" in made[1]


def test_an_authors_example_comes_first() -> None:
    assert actions(codec_for(Listed).schema(), 1) == [{"guess": "123-xyxyxyx"}]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": "string", "pattern": r"^\d{3}-(x|y){7}$"}, "examples"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number fits"),
        ({"type": "array", "minItems": 3, "uniqueItems": True, "items": {"const": 1}}, "different items"),
        ({"$ref": "#/$defs/Loop"}, "circle"),
    ],
)
def test_what_cannot_be_made_is_named(field: Any, words: str) -> None:
    schema = {
        "type": "object",
        "properties": {"f": field},
        "required": ["f"],
        "$defs": {"Loop": {"$ref": "#/$defs/Loop"}},
    }
    with pytest.raises(CannotGenerate, match=words) as caught:
        actions(schema, 1)
    assert str(caught.value).startswith("action.f")
    # And where nothing asks for it, it is left out.
    assert actions({**schema, "required": []}, 2) == [{}, {}]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "text"}, "#/type: 'text' is not a JSON Schema type"),
        ({"properties": []}, "#/properties: must be an object"),
        ({"properties": {"a": 1}}, "#/properties/a: a schema must be an object, not int"),
        ({"required": "a"}, "#/required: must be a list of names"),
        ({"enum": []}, "#/enum: must be a list that is not empty"),
        ({"anyOf": []}, "#/anyOf: must be a list that is not empty"),
        ({"items": {"$ref": "#/$defs/Gone"}}, "#/items/$ref: #/$defs/Gone points to nothing"),
        ({"minLength": -1}, "#/minLength: must be a whole number of 0 or more, not -1"),
        ({"maximum": "9"}, "#/maximum: must be a number, not '9'"),
        ({"pattern": "("}, "#/pattern: is not a regular expression"),
        ([], "#: a schema must be an object, not list"),
    ],
)
def test_what_is_not_a_schema_is_named_with_its_place(schema: Any, problem: str) -> None:
    (found,) = schema_problems(schema)
    assert found.startswith(problem)


def test_every_wrong_action_is_refused() -> None:
    codec = codec_for(Rich)
    wrong = wrong_actions(codec.schema())
    assert len(wrong) == 3
    for action in wrong:
        with pytest.raises(Exception, match="Invalid message"):
            codec.from_builtins(action)


def test_the_first_difference_is_named() -> None:
    nan = float("nan")
    assert difference({"a": [1, nan]}, {"a": [1, nan]}) is None
    assert difference({"a": [1, 2]}, {"a": [1, 3]}) == "observation.a[1] is 2 and then 3"
    assert difference(np.ones(2), [1.0, 1.0]) == "observation is a ndarray and then a list"
    assert difference({"a": 1}, {}) == "observation.a is missing in one of them"
    assert difference([1], [1, 2]) == "observation has 1 items and then 2 items"
    long = difference("x" * 100 + "1", "x" * 100 + "2")
    assert long is not None
    assert "at character 80" in long
