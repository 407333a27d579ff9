"""The contract of an executor, over every way an environment can run: whatever author's code raises."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from requirements import requirement
from support.scripted_envs import ERRORS, HERE, METADATA, STATE, World, reset, seen, start, step, world_for
from support.servers import bounded

from openenv_async.errors import EnvironmentFailed, InvalidPayload


@pytest.fixture(params=[*HERE, "process sync", "process async", "process packed"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(kind: str) -> World:
    return world_for(kind)


@requirement("session:crash-contained", "bad-input:system-exit", "bad-input:keyboard-interrupt")
@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_step_raises_is_an_error_and_the_environment_lives(
    kind: str, world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(step(name)))
    # Python itself turns a StopIteration that leaves a coroutine into a RuntimeError.
    raised = type(ERRORS[name]()).__name__
    assert caught.value.exception_type in {raised, "RuntimeError"}
    assert len(caught.value.error_id or "") == 8
    assert str(caught.value).encode()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    await bounded(executor.aclose())
    assert world.journal.count("close") == 1


@pytest.mark.parametrize("name", ["ValueError", "SystemExit", "KeyboardInterrupt", "CancelledError"])
@pytest.mark.parametrize("method", ["reset", "state", "metadata", "transform"])
async def test_whatever_another_method_raises_is_an_error_too(
    kind: str, world: World, method: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.transforming = True
    executor = await bounded(start(kind, world))
    calls = {"reset": reset(), "state": STATE, "metadata": METADATA, "transform": step()}
    world.breaks = {f"{method}:{name}"}
    with caplog.at_level(logging.CRITICAL + 1, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(calls[method]))
    assert caught.value.exception_type == name
    world.breaks = set()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())


@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_close_raises_is_logged_and_goes_no_further(
    kind: str, world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    world.breaks = {f"close:{name}"}
    with caplog.at_level(logging.CRITICAL, "openenv_async"):
        await bounded(executor.aclose())
        await bounded(executor.aclose())
    assert world.journal.count("close") == 1


async def test_the_log_has_the_traceback_and_the_caller_its_id(
    kind: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    executor = await bounded(start(kind, world))
    with caplog.at_level(logging.ERROR, "openenv_async"), pytest.raises(EnvironmentFailed) as caught:
        await bounded(executor.call(step("ValueError")))
    assert f"[error {caught.value.error_id}]" in caplog.text
    assert "in throw" in caplog.text
    assert "traceback" not in caught.value.details
    await bounded(executor.aclose())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (step("nothing"), EnvironmentFailed, r"step\(\) returned None"),
        (step("object"), EnvironmentFailed, "object"),
        (msgspec.structs.replace(step(value=1), payload=msgspec.msgpack.encode({"do": 5})), InvalidPayload, "do"),
        (msgspec.structs.replace(step(value=1), payload=b"\xc1"), InvalidPayload, "malformed|message"),
        (reset(speed=1), InvalidPayload, "takes no argument 'speed'"),
        (reset(seed="x"), InvalidPayload, "seed must be"),
        (msgspec.structs.replace(reset(), payload=msgspec.msgpack.encode([1])), InvalidPayload, "expected `object`"),
    ],
)
@requirement("nothing-dropped:argument", "bad-input:unencodable")
async def test_what_cannot_be_read_or_written_is_an_error_and_the_environment_lives(
    kind: str, world: World, call: Any, error: type[Exception], words: str
) -> None:
    executor = await bounded(start(kind, world))
    with pytest.raises(error, match=words):
        await bounded(executor.call(call))
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())


@requirement("bad-input:author-validator")
@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_validator_raises_is_an_error_and_the_environment_lives(
    kind: str, world: World, name: str
) -> None:
    executor = await bounded(start(kind, world))
    refused = msgspec.structs.replace(step(), payload=msgspec.msgpack.encode({"refuse": name}))
    with pytest.raises(InvalidPayload) as caught:
        await bounded(executor.call(refused))
    assert str(caught.value).encode()
    assert seen(await bounded(executor.call(step(value="alive")))) == "alive"
    await bounded(executor.aclose())
