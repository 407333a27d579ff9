"""Spaces: the type on the wire, what is legal, and the sentence when it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from openenv_async.errors import InvalidPayload
from openenv_async.server.gym_spaces import annotation, legal, plain

BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
NESTED = spaces.Dict({"aim": BOX, "keys": spaces.Tuple((spaces.Discrete(3, start=5), spaces.Text(4)))})


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Discrete(2), 1, 1),
        (BOX, [0.5, -1], np.array([0.5, -1], np.float32)),
        (BOX, np.array([0.5, -1], np.float64), np.array([0.5, -1], np.float32)),
        (spaces.MultiDiscrete([3, 2]), [2, 1], np.array([2, 1], np.int64)),
        (spaces.MultiBinary(3), [0, 1, 1], np.array([0, 1, 1], np.int8)),
        (spaces.Text(5), "abc", "abc"),
        (spaces.Sequence(spaces.Discrete(3)), [0, 2], (0, 2)),
        (spaces.OneOf((spaces.Discrete(2), BOX)), [0, 1], (0, 1)),
    ],
)
def test_a_legal_value_becomes_what_the_environment_expects(space: Any, value: Any, expected: Any) -> None:
    made = legal(space, value)
    assert type(made) is type(expected)
    assert getattr(made, "dtype", None) == getattr(expected, "dtype", None)
    np.testing.assert_equal(made, expected)


def test_nested_values_are_made_all_the_way_down() -> None:
    made = legal(NESTED, {"aim": [0, 0], "keys": [7, "ab"]})
    assert made["keys"] == (7, "ab")
    assert made["aim"].dtype == np.float32


@pytest.mark.parametrize(
    ("space", "value", "path", "words"),
    [
        (spaces.Discrete(2), 7, "action", "a whole number from 0 to 1"),
        (spaces.Discrete(2, start=-3), 0, "action", "a whole number from -3 to -2"),
        (BOX, [0.0, 3.0], "action", r"at \[1\] it must be from -1.0 to 1.0, not 3.0"),
        (BOX, [0.0, float("nan")], "action", r"at \[1\] it must be from -1.0 to 1.0, not nan"),
        (BOX, [0.0], "action", r"its shape is \(1,\), not \(2,\)"),
        (BOX, "left", "action", "it cannot become an array of float32"),
        (spaces.Box(0, 9, (1,), np.int64), [1.5], "action", "it cannot become an array of int64"),
        (spaces.MultiDiscrete([3, 2]), [2, 2], "action", r"less than that of \[3, 2\]"),
        (spaces.MultiBinary(2), [0, 2], "action", "0 or 1"),
        (spaces.Text(2), "abc", "action", "1 to 2 of the characters"),
        (NESTED, {"aim": [0, 0]}, "action", "exactly the keys aim, keys"),
        (NESTED, {"aim": [0, 0], "keys": [7]}, "action.keys", "must be a list of 2"),
        (NESTED, {"aim": [0, 0], "keys": [4, "a"]}, "action.keys.0", "a whole number from 5 to 7"),
        (spaces.Sequence(spaces.Discrete(3)), [0, 3], "action.1", "a whole number from 0 to 2"),
        (spaces.Sequence(spaces.Discrete(3)), 4, "action", "must be a list, not 4"),
        (spaces.OneOf((spaces.Discrete(2), BOX)), [2, 1], "action", "chooses one of 2 spaces"),
        (spaces.OneOf((spaces.Discrete(2), BOX)), [1, [0, 9]], "action.1", "must be from -1.0 to 1.0"),
    ],
)
def test_an_illegal_value_names_the_part_and_what_would_be_legal(space: Any, value: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidPayload, match=words) as refused:
        legal(space, value)
    assert refused.value.path == path
    assert str(refused.value).startswith(f"{path}: ")


def test_types_on_the_wire() -> None:
    assert annotation(spaces.Discrete(2), "A") is int
    assert annotation(spaces.Text(2), "A") is str
    assert annotation(spaces.Sequence(spaces.Discrete(2)), "A") == list[int]
    assert annotation(spaces.OneOf((BOX,)), "A") == tuple[int, Any]
    made = annotation(NESTED, "Keys")
    assert (made.__name__, list(made.__annotations__)) == ("Keys", ["aim", "keys"])
    assert made.__annotations__["keys"] == tuple[int, str]
    assert annotation(spaces.Graph(BOX, None), "A") is Any


def test_what_an_environment_returns_is_made_plain() -> None:
    class Text(str):
        pass

    graph = spaces.GraphInstance(np.zeros(1), None, None)
    made = plain(
        {
            1: np.float32(0.5),
            "array": np.arange(3),
            "deep": [(np.bool_(True), {"x": np.int8(4)})],
            "set": frozenset({3}),
            "graph": graph,
            "text": Text("t"),
            "odd": ValueError("why"),
        }
    )
    assert made.pop("array").tolist() == [0, 1, 2]
    assert made.pop("graph")["edges"] is None
    assert made == {
        "1": 0.5,
        "deep": [[True, {"x": 4}]],
        "set": [3],
        "text": "t",
        "odd": "ValueError('why')",
    }
