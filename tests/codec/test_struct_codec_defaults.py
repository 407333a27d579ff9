"""A field that a message left out travels on with its default, also out of a dataclass that msgspec made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from openenv_async.codec import codec_for
from openenv_async.codec.struct_codec import filler_of


@dataclass
class Point:
    x: float
    label: str | None = None


@dataclass(frozen=True)
class Frozen:
    x: float
    label: str = "f"


@dataclass(slots=True)
class Slots:
    x: float
    label: str = "s"


class Held(msgspec.Struct):
    point: Point
    n: int = 3


@dataclass
class Tree:
    one: Point | int | None = None
    many: list[Point] = field(default_factory=list)
    named: dict[str, Point] = field(default_factory=dict)
    pair: tuple[Point, int] | None = None
    row: tuple[Point, ...] = ()
    either: Frozen | list[Point] | None = None
    held: Held | None = None
    slots: Slots | None = None
    child: Tree | None = None
    rows: list[list[Point]] = field(default_factory=list)


POINT = {"x": 1.0}
FULL = {"x": 1.0, "label": None}
GIVEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"one": POINT}, {"one": FULL}),
    ({"one": 4}, {"one": 4}),
    ({"many": [POINT, POINT]}, {"many": [FULL, FULL]}),
    ({"named": {"a": POINT}}, {"named": {"a": FULL}}),
    ({"pair": [POINT, 2]}, {"pair": [FULL, 2]}),
    ({"row": [POINT]}, {"row": [FULL]}),
    ({"either": [POINT]}, {"either": [FULL]}),
    ({"either": POINT}, {"either": {"x": 1.0, "label": "f"}}),
    ({"held": {"point": POINT}}, {"held": {"point": FULL, "n": 3}}),
    ({"slots": POINT}, {"slots": {"x": 1.0, "label": "s"}}),
    ({"child": {"child": {"one": POINT}}}, {}),
    ({"rows": [[POINT], []]}, {"rows": [[FULL], []]}),
]


@pytest.mark.parametrize(("given", "expected"), GIVEN)
@pytest.mark.parametrize("wire", ["json", "msgpack", "builtins"])
def test_nothing_is_missing_from_what_was_decoded(given: dict[str, Any], expected: dict[str, Any], wire: str) -> None:
    codec = codec_for(Tree)
    if wire == "json":
        value = codec.decode_json(msgspec.json.encode(given))
    elif wire == "msgpack":
        value = codec.decode_msgpack(msgspec.msgpack.encode(given))
    else:
        value = codec.from_builtins(given)
    sent = msgspec.json.decode(codec.encode_json(value))
    for key, want in expected.items():
        assert sent[key] == want
    assert set(sent) == set(Tree.__dataclass_fields__)
    if "child" in given:
        assert sent["child"]["child"]["one"] == FULL
        assert set(sent["child"]) == set(sent)


def test_classes_without_dataclasses_have_no_filler() -> None:
    class Plain(msgspec.Struct):
        n: int = 1
        items: list[int] = []

    assert filler_of(Plain) is None
    assert filler_of(Slots) is None
    assert filler_of(dict[str, int]) is None
    assert filler_of(Held) is not None
    assert filler_of(Frozen) is not None
