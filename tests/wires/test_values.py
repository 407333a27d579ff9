"""Values through a whole client, socket, server and environment and back: as they left, or as the JSON wire says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from requirements import requirement
from support.echo_models import FIELDS, KINDS, Color, Level
from support.servers import serving

from openenv_async import AsyncEnv
from openenv_async.errors import InvalidPayload

WIRES = pytest.mark.parametrize("wire", ["native", "json"])
EACH_KIND = pytest.mark.parametrize("name", list(KINDS))


@requirement("values:native", "values:json")
@WIRES
@EACH_KIND
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_every_kind_of_field_in_every_kind_of_model(wire: Any, name: str, execution: str) -> None:
    kind = KINDS[name]
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    sent = kind.rich(pixels=pixels)
    async with serving(kind.app(execution)) as served, kind.client(served.url, wire=wire) as env:
        first = await env.reset(episode_id="e")
        assert type(first.observation) is kind.observation
        result = await env.step(sent)
        seen = result.observation
        assert type(seen) is kind.observation
        for field in FIELDS:
            got, want = getattr(seen, field), getattr(sent, field)
            if field == "pixels":
                assert got.dtype == np.uint8
                np.testing.assert_array_equal(got, want)
            else:
                assert type(got) is type(want), field
                assert got == want, field
        assert type(seen.maybe) is kind.point
        state = await env.state()
        assert state == kind.state(episode_id="e", step_count=1, last=sent.maybe)
        assert type(state) is kind.state
        # The defaults, too: nothing of the step before is left in them.
        again = (await env.step(kind.action())).observation
        assert (again.color, again.level, again.points, again.raw) == (Color.RED, Level.LOW, [], b"")


@requirement("values:native", "values:json")
@WIRES
@EACH_KIND
async def test_reward_done_and_metadata_stand_where_openenv_has_them(wire: Any, name: str) -> None:
    kind = KINDS[name]
    async with serving(kind.app()) as served, kind.client(served.url, wire=wire) as env:
        first = await env.reset()
        assert (first.reward, first.done, first.metadata, first.truncated) == (None, False, None, False)
        metadata = {"note": "x", "nested": {"n": [1, None]}}
        result = await env.step(kind.action(anything={"reward": 2.5, "done": True, "metadata": metadata}))
        assert (result.reward, result.done, result.metadata) == (2.5, True, metadata)
        seen = result.observation
        assert (seen.reward, seen.done, seen.metadata) == (2.5, True, metadata)
        assert result.session_id == env.session_id


@requirement("values:native", "values:json")
@WIRES
@EACH_KIND
async def test_an_untyped_client_sends_and_gets_dicts(wire: Any, name: str) -> None:
    kind = KINDS[name]
    async with serving(kind.app()) as served, AsyncEnv[Any, Any, Any](served.url, wire=wire) as env:
        await env.reset()
        action = {
            "color": "blue",
            "level": 10,
            "mode": "b",
            "either": 3,
            "maybe": {"x": 1.5},
            "points": [{"x": 1.0, "label": "p"}],
            "pair": [1, "one"],
            "anything": {"reward": 1, "done": True},
        }
        result = await env.step(action)
        seen = result.observation
        assert {key: seen[key] for key in ("color", "level", "mode", "either")} == {
            "color": "blue",
            "level": 10,
            "mode": "b",
            "either": 3,
        }
        assert seen["maybe"] == {"x": 1.5, "label": None}
        assert seen["points"] == [{"x": 1.0, "label": "p"}]
        assert list(seen["pair"]) == [1, "one"]
        assert (result.reward, result.done) == (1, True)
        assert not {"reward", "done"} & set(seen)
        state = await env.state()
        assert state["last"] == {"x": 1.5, "label": None}
        with pytest.raises(InvalidPayload) as wrong:
            await env.step({"maybe": {"x": "far"}})
        assert wrong.value.path == "maybe.x"


PLAIN = [
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    5e-324,
    2**53 + 1,
    2**63,
    2**64,
    -(2**70),
    True,
    None,
    "",
    "\N{SNOWMAN}\x00\ud800",
    b"",
    bytes(range(256)),
    [1, [2, [3]]],
    {"a": {"b": [None]}},
    {"": 0},
    1 + 2j,
]


def same(got: Any, want: Any) -> bool:
    return type(got) is type(want) and repr(got) == repr(want)


@requirement("values:native")
@EACH_KIND
@pytest.mark.parametrize("typed", [True, False])
async def test_anything_arrives_over_the_native_wire_as_it_left(name: str, typed: bool) -> None:
    kind = KINDS[name]
    client: Any = kind.client if typed else AsyncEnv
    async with serving(kind.app()) as served, client(served.url, wire="native") as env:
        first = await env.reset(anything=PLAIN)
        for result in (first, await env.step(kind.action(anything=PLAIN) if typed else {"anything": PLAIN})):
            got = result.observation.anything if typed else result.observation["anything"]
            wrong = [(g, w) for g, w in zip(got, PLAIN, strict=True) if not same(g, w)]
            assert not wrong


ARRAYS = [
    np.array(3.5),
    np.array([], dtype=np.float32),
    np.array([[1.5, math.nan], [math.inf, -0.0]]),
    np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(10)[::2],
    np.array([True, False]),
    np.array(["a", "\N{SNOWMAN}"]),
    np.array([1 + 2j]),
    np.array(["2026-01-01"], dtype="datetime64[D]"),
    np.zeros((3, 0, 2), dtype=">u4"),
    np.random.default_rng(1).random((300, 300)),
]


@requirement("values:native")
@EACH_KIND
async def test_arrays_arrive_over_the_native_wire_as_they_left(name: str) -> None:
    kind = KINDS[name]
    async with serving(kind.app()) as served, kind.client(served.url, wire="native") as env:
        await env.reset()
        result = await env.step(kind.action(anything={"arrays": ARRAYS, "reward": np.float32(0.1)}))
        for got, want in zip(result.observation.anything["arrays"], ARRAYS, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_array_equal(got, want)
            assert got.flags.writeable
        assert result.reward == pytest.approx(0.1)


@requirement("values:json")
@EACH_KIND
@pytest.mark.parametrize("typed", [True, False])
async def test_on_the_json_wire_values_look_as_openenv_writes_them(name: str, typed: bool) -> None:
    kind = KINDS[name]
    client: Any = kind.client if typed else AsyncEnv
    cases: list[tuple[Any, Any]] = [
        (math.nan, None),
        (math.inf, None),
        (-0.0, -0.0),
        (2**53 + 1, 2**53 + 1),
        (2**64, 2**64),
        (-(2**70), -(2**70)),
        (True, True),
        ("\N{SNOWMAN}\x00", "\N{SNOWMAN}\x00"),
        ("\ud800", "\ud800"),
        (b"\xff\x00", "/wA="),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.5, math.nan]), [1.5, None]),
        ((1, 2), [1, 2]),
        ({"k": [None]}, {"k": [None]}),
    ]
    async with serving(kind.app()) as served, client(served.url, wire="json") as env:
        first = await env.reset(anything=[sent for sent, _ in cases])
        action = kind.action(anything=[sent for sent, _ in cases])
        result = await env.step(action if typed else {"anything": [sent for sent, _ in cases]})
        for each in (first, result):
            got = each.observation.anything if typed else each.observation["anything"]
            wrong = [(g, w) for g, (_, w) in zip(got, cases, strict=True) if not same(g, w)]
            assert not wrong


@requirement("values:native", "values:json")
@WIRES
@pytest.mark.parametrize("size", [300_000, 2_000_000])
async def test_large_values_in_both_directions(wire: Any, size: int) -> None:
    kind = KINDS["struct"]
    raw = np.random.default_rng(2).bytes(size)
    async with serving(kind.app()) as served, kind.client(served.url, wire=wire) as env:
        await env.reset()
        for _ in range(2):
            assert (await env.step(kind.action(raw=raw))).observation.raw == raw
