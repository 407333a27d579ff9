"""What only pydantic models do: unions of them, aliases, computed fields, recursion over arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
import pytest

from openenv_async import errors
from openenv_async.codec import codec_for


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
