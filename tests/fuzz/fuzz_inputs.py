"""Inputs for both wires: bytes of any kind, whole messages, and whole messages with something wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from openenv_async.protocol.frames import CLIENT_FRAMES, SERVER_FRAMES

IDS = st.integers(0, 6) | st.integers(-3, 2**33)
LEAVES = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=12)
    | st.integers(-(2**63), 2**64 - 1)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
ACTIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "echo", "raise", "exit", "object", "nope"]),
        "n": st.integers(-5, 5) | VALUES,
        "value": VALUES,
        "what": VALUES,
    },
)
TIMEOUTS = st.none() | st.floats() | st.integers(-1, 5)
TAGS = [cls.__struct_config__.tag for cls in (*CLIENT_FRAMES, *SERVER_FRAMES)]


def _frames_of_any_shape() -> st.SearchStrategy[list[Any]]:
    """A tag, two ids, and fields that may or may not be those of the tag."""
    head = st.tuples(st.sampled_from(TAGS) | VALUES, IDS | VALUES, IDS | VALUES)
    return st.builds(lambda head, rest: [*head, *rest], head, st.lists(VALUES, max_size=4))


FRAMES = st.one_of(
    st.tuples(st.just(1), IDS),
    st.tuples(st.just(2), IDS, IDS, st.dictionaries(st.text(max_size=4), VALUES, max_size=3), TIMEOUTS),
    st.tuples(st.just(3), IDS, IDS, ACTIONS, TIMEOUTS),
    st.tuples(st.just(4), IDS, IDS, TIMEOUTS),
    st.tuples(st.just(5), IDS),
    st.tuples(st.just(6), IDS, IDS),
    st.tuples(st.just(7), IDS, IDS, st.integers(-1, 3), st.booleans(), st.binary(max_size=30)),
    _frames_of_any_shape(),
)
"""One client's frame as plain values: right, or nearly so."""

BATCHES = st.lists(FRAMES, max_size=8).map(msgspec.msgpack.encode)


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A message with bytes changed, left out, doubled, or put in from another."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, min(len(data), at + 16)))
        how = draw(st.sampled_from(["change", "leave out", "double", "cut", "insert"]))
        if how == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif how == "leave out":
            del data[at:until]
        elif how == "double":
            data[at:at] = data[at:until]
        elif how == "cut":
            del data[at:]
        elif how == "insert":
            data[at:at] = draw(whole)[:64]
    return bytes(data)


NATIVE = BATCHES | broken(BATCHES) | st.binary(max_size=80)
"""What may come as a binary message."""

PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=12) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
REQUESTS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("step"),
            "data": st.fixed_dictionaries(
                {"n": st.integers(-3, 3)},
                optional={
                    "op": st.sampled_from(["add", "echo", "raise", "exit", "object"]),
                    "value": PLAIN,
                    "what": PLAIN,
                },
            ),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("reset")},
        optional={
            "data": st.fixed_dictionaries(
                {}, optional={"seed": st.integers(), "start": st.integers(-5, 5) | PLAIN, "what": PLAIN}
            )
        },
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["state", "mcp", "step", "reset", "x"]) | PLAIN},
        optional={"data": PLAIN, "more": PLAIN},
    ),
    PLAIN,
).map(json.dumps)
"""One client's message on the JSON wire: right, or nearly so."""

JSON = (
    REQUESTS | broken(REQUESTS.map(str.encode)).map(lambda data: data.decode(errors="replace")) | st.text(max_size=40)
)
"""What may come as a text message."""
