"""Actions and arguments that do not fit their class: the error names the field. Every kind of model, both wires."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import pytest
from bad_input import EXECUTIONS, WIRES, goes_on, is_error, playing
from pydantic import BaseModel, ConfigDict, field_validator
from requirements import requirement
from support.play_env import Execution
from support.raw_clients import RawClient, RawNative, raw_client
from support.servers import serving

from openenv_async import Action, Environment, Limits, Observation, State, create_app
from openenv_async.protocol.frames import Chunk, Step, encode


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class StructMove(msgspec.Struct, forbid_unknown_fields=True):
    x: int


class StructAction(Action):
    n: int
    color: Color = Color.RED
    mode: Literal["a", "b"] = "a"
    moves: list[StructMove] = []
    either: int | str | None = None

    def __post_init__(self) -> None:
        refuse(self.n)


@dataclass
class DataMove:
    x: int


@dataclass
class DataAction:
    n: int
    color: Color = Color.RED
    mode: Literal["a", "b"] = "a"
    moves: list[DataMove] = field(default_factory=list)
    either: int | str | None = None

    def __post_init__(self) -> None:
        refuse(self.n)


class ModelMove(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x: int


class ModelAction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: int
    color: Color = Color.RED
    mode: Literal["a", "b"] = "a"
    moves: list[ModelMove] = []
    either: int | str | None = None

    @field_validator("n")
    @classmethod
    def small(cls, value: int) -> int:
        refuse(value)
        return value


class Unprintable(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


VALIDATORS: dict[int, BaseException] = {
    1001: ValueError("n is more than 1000"),
    1002: KeyError("n"),
    1003: SystemExit(5),
    1004: Unprintable(),
    1005: KeyboardInterrupt(),
    1006: ValueError("half a \ud800 pair"),
}


def refuse(n: int) -> None:
    if n in VALIDATORS:
        raise VALIDATORS[n]


class Seen(Observation):
    total: int = 0


class Sum(Environment[Any, Seen, State]):
    total = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, *, start: int = 0) -> Seen:
        self.total = start
        return Seen(total=start)

    def step(self, action: Any) -> Seen:
        self.total += action.n
        return Seen(total=self.total)

    @property
    def state(self) -> Any:
        return {"total": self.total}


KINDS = pytest.mark.parametrize("kind", [StructAction, DataAction, ModelAction])


@contextlib.asynccontextmanager
async def summing(wire: str, kind: type, execution: str | None = None) -> AsyncIterator[RawClient]:
    async with serving(create_app(Sum, kind, Seen, state_cls=dict, execution=execution)) as served:
        async with raw_client(wire, served.url) as client:
            assert (await client.reset()).total == 0
            assert (await client.step(n=1)).total == 1
            yield client


@requirement("bad-input:missing-key", "bad-input:extra-key", "bad-input:wrong-value")
@WIRES
@KINDS
async def test_the_error_names_the_field(wire: str, kind: type) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "n"),
        ({"n": None}, "n"),
        ({"n": "x"}, "n"),
        ({"n": [1]}, "n"),
        ({"n": 1, "bogus": 2}, "bogus"),
        ({"n": 1, "color": "green"}, "color"),
        ({"n": 1, "color": 3}, "color"),
        ({"n": 1, "mode": "c"}, "mode"),
        ({"n": 1, "moves": {}}, "moves"),
        ({"n": 1, "moves": [{"x": 1}, {"x": "left"}]}, "moves[1].x"),
        ({"n": 1, "moves": [{}]}, "moves[0].x"),
        ({"n": 1, "either": []}, "either"),
    ]
    if kind is not DataAction:  # a nested dataclass has no way to refuse what it does not know
        cases.append(({"n": 1, "moves": [{"x": 1, "y": 2}]}, "moves[0].y"))
    async with summing(wire, kind) as client:
        for action, path in cases:
            said = await client.step(**action)
            is_error(said, "VALIDATION_ERROR")
            # pydantic names the arms of a union, too: either.int
            assert said.details["path"].removesuffix(".int") == path, (action, said)
            first = said.details["errors"][0]
            assert first["msg"], said
            assert first["loc"][0] == path.partition("[")[0]
            assert said.details["retryable"] is False
        await goes_on(client)


@requirement("bad-input:author-validator")
@WIRES
@KINDS
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_a_validator_that_raises(wire: str, kind: type, execution: str) -> None:
    async with summing(wire, kind, execution) as client:
        for number, error in VALIDATORS.items():
            said = await client.step(n=number)
            is_error(said, "VALIDATION_ERROR")
            if number == 1001:
                assert "n is more than 1000" in said.message + str(said.details)
            elif number != 1004:
                assert type(error).__name__ in str(said) or "ud800" in str(said)
        await goes_on(client)


@requirement("nothing-dropped:argument")
@WIRES
async def test_a_reset_argument_that_is_not_taken_is_named(wire: str) -> None:
    async with summing(wire, StructAction) as client:
        is_error(await client.reset(colour="red"), "VALIDATION_ERROR", "colour", "start")
        await goes_on(client)
        assert (await client.reset(start=7)).total == 7
        assert (await client.step(n=1)).total == 8


@requirement("bad-input:wrong-value")
@WIRES
@pytest.mark.parametrize("arguments", [{"seed": "x"}, {"seed": -1}, {"seed": True}, {"episode_id": 4}])
async def test_seed_and_episode_id_of_wrong_types(wire: str, arguments: dict[str, Any]) -> None:
    async with playing(wire) as client:
        said = await client.reset(**arguments)
        is_error(said, "VALIDATION_ERROR")
        assert said.details["path"] == next(iter(arguments))
        await goes_on(client)


@requirement("bad-input:too-large")
@WIRES
@EXECUTIONS
async def test_an_action_over_the_limit(wire: str, execution: Execution) -> None:
    limits = Limits(max_message_bytes=4096)
    async with playing(wire, execution, limits=limits) as client:
        for size in (4097, 100_000):
            said = await client.step(op="echo", value="x" * size)
            is_error(said, "PAYLOAD_TOO_LARGE", "4,096 bytes", "max_message_bytes")
            assert said.details["limit"] == 4096
            assert said.details["size"] > size
        assert (await client.step(op="echo", value="x" * 1000)).body["value"] == "x" * 1000
        await goes_on(client)


@requirement("bad-input:too-large")
@WIRES
@EXECUTIONS
async def test_an_observation_over_the_limit(wire: str, execution: Execution) -> None:
    async with playing(wire, execution, limits=Limits(max_message_bytes=4096)) as client:
        said = await client.step(op="huge", value=4096)
        is_error(said, "PAYLOAD_TOO_LARGE", "4,096 bytes", "max_message_bytes")
        assert said.details["limit"] == 4096
        assert (await client.step(op="huge", value=3000)).body["value"] == "x" * 3000
        await goes_on(client)


@requirement("bad-input:too-large")
@pytest.mark.parametrize("size", [300_000, 3_000_000])
async def test_an_action_over_the_limit_that_comes_in_chunks(size: int) -> None:
    async with playing("native", limits=Limits(max_message_bytes=200_000)) as client:
        assert isinstance(client, RawNative)
        rid = client.next_rid()
        whole = encode(Step(1, rid, msgspec.Raw(client.encode({"value": b"x" * size}))))
        pieces = [whole[at : at + 65536] for at in range(0, len(whole), 65536)]
        for seq, piece in enumerate(pieces):
            await client.send(Chunk(1, rid, seq, seq == len(pieces) - 1, piece))
        said = client.read(await client.hear())
        is_error(said, "PAYLOAD_TOO_LARGE", "200,000 bytes")
        await goes_on(client)
