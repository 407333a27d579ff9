"""Environments that raise, exit, and return what cannot travel: the call fails, the session steps on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bad_input import EXECUTIONS, WIRES, goes_on, is_error, playing
from requirements import requirement
from support.play_env import Execution, play_app
from support.raw_clients import raw_client
from support.servers import Journal, serving

from openenv_async import Action, Environment, Observation, State, create_app


@requirement("bad-input:unencodable")
@WIRES
@EXECUTIONS
async def test_an_observation_that_cannot_be_encoded(wire: str, execution: Execution) -> None:
    async with playing(wire, execution) as client:
        said = await client.step(op="object")
        is_error(said, "EXECUTION_ERROR", "value.deep[0]", "object")
        assert said.details["path"].endswith("value.deep[0]")
        is_error(await client.step(op="nothing"), "EXECUTION_ERROR", "None", "observation")
        is_error(await client.reset(op="none"), "EXECUTION_ERROR", "None", "observation")
        assert (await client.reset(start=1)).total == 1
        assert (await client.step(n=1)).total == 2


@requirement("bad-input:non-finite-reward")
@WIRES
@EXECUTIONS
async def test_rewards_that_are_no_finite_number(wire: str, execution: Execution) -> None:
    async with playing(wire, execution) as client:
        for op, reward in (("nan", math.nan), ("inf", math.inf), ("-inf", -math.inf)):
            said = await client.step(op=op)
            assert not said.code
            if wire == "json":  # OpenEnv's format has no way to say it
                assert said.body["reward"] is None
            else:
                assert repr(said.body["reward"]) == repr(reward)
        assert (await client.step(n=1)).total == 2


@requirement("bad-input:unprintable", "session:crash-contained")
@WIRES
@EXECUTIONS
async def test_an_exception_whose_text_cannot_be_printed(
    wire: str, execution: Execution, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(wire, execution) as client:
        said = await client.step(op="unprintable")
        is_error(said, "EXECUTION_ERROR", "Unprintable")
        assert said.details["exception_type"] == "Unprintable"
        assert said.details["error_id"] in caplog.text
        is_error(await client.step(op="surrogate"), "EXECUTION_ERROR", "ud800")
        assert (await client.step(n=1)).total == 2


RAISED = {
    "raise": ("ValueError", "the pot is empty"),
    "exit": ("SystemExit", "3"),
    "interrupt": ("KeyboardInterrupt", ""),
    "cancelled": ("CancelledError", ""),
    "stop": ("StopIteration", ""),
    "generator exit": ("GeneratorExit", ""),
    "group": ("ExceptionGroup", "two at once"),
}


@requirement("bad-input:system-exit", "bad-input:keyboard-interrupt", "session:crash-contained")
@WIRES
@EXECUTIONS
@pytest.mark.parametrize("op", RAISED)
async def test_whatever_an_environment_raises_costs_that_call_alone(
    wire: str, execution: Execution, op: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind, text = RAISED[op]
    async with playing(wire, execution) as client:
        for said in (await client.step(op=op), await client.reset(op=op)):
            is_error(said, "EXECUTION_ERROR", text)
            # Python itself makes a RuntimeError of a StopIteration that leaves a coroutine.
            assert said.details["exception_type"] in (kind, "RuntimeError" if op == "stop" else kind)
            assert said.message
            assert said.details["error_id"] in caplog.text
            assert "traceback" not in said.details
        assert (await client.reset(start=1)).total == 1
        assert (await client.step(n=1)).total == 2


@requirement("bad-input:system-exit", "session:crash-contained")
@WIRES
@EXECUTIONS
async def test_a_state_that_raises(wire: str, execution: Execution) -> None:
    async with playing(wire, execution) as client:
        await client.step(op="fail state")
        said = await client.state()
        is_error(said, "EXECUTION_ERROR", "no state")
        assert said.details["exception_type"] == "SystemExit"
        assert (await client.step(n=1)).total == 2


@requirement("bad-input:keyboard-interrupt", "slot:freed")
@WIRES
@EXECUTIONS
async def test_a_close_that_raises_frees_the_slot(
    wire: str, execution: Execution, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution, max_concurrent_envs=1)) as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            await client.step(op="fail close")
        await journal.until("closed")
        async with raw_client("native", served.url) as client:  # waits for the slot
            assert (await client.reset()).total == 0
    assert journal.count("closed") == 2
    assert "KeyboardInterrupt" in caplog.text


@requirement("session:crash-contained")
@WIRES
@EXECUTIONS
async def test_debug_shows_the_traceback_and_nothing_else_does(wire: str, execution: Execution) -> None:
    async with playing(wire, execution, debug=True) as client:
        said = await client.step(op="raise")
        assert "play_env.py" in said.details["traceback"]
        is_error(await client.step(op="unprintable"), "EXECUTION_ERROR", "Unprintable")
        assert (await client.step(n=1)).total == 2
    async with playing(wire, execution) as client:
        assert "play_env.py" not in str(await client.step(op="raise"))
        await goes_on(client)


class Half(Environment[Action, Observation, State]):
    """Resets and closes in plain functions and steps in an async one: the former must not run on the loop."""

    def __init__(self) -> None:
        self.count = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, *, fail: str = "") -> Observation:
        if fail == "stop":
            raise StopIteration(1)
        if fail == "exit":
            raise SystemExit(1)
        return Observation()

    async def step(self, action: Any) -> Observation:
        self.count += 1
        return Observation(reward=self.count)

    @property
    def state(self) -> Any:
        raise StopIteration(2)


@requirement("session:crash-contained", "bad-input:system-exit")
@WIRES
@pytest.mark.parametrize(("fail", "kind"), [("stop", "StopIteration"), ("exit", "SystemExit")])
async def test_plain_methods_beside_an_async_step_may_raise_anything_too(wire: str, fail: str, kind: str) -> None:
    async with serving(create_app(Half, Action, Observation)) as served, raw_client(wire, served.url) as client:
        await client.reset()
        said = await client.reset(fail=fail)
        is_error(said, "EXECUTION_ERROR")
        assert said.details["exception_type"] in (kind, "RuntimeError" if fail == "stop" else kind)
        is_error(await client.state(), "EXECUTION_ERROR", "StopIteration")
        assert (await client.step()).body["reward"] == 1


class Tasks(Half):
    """Raises in a task of its own rather than in the call."""

    async def step(self, action: Any) -> Observation:
        import asyncio

        async def helper() -> None:
            raise LookupError("in a helper task")

        await asyncio.gather(helper())
        return Observation()


@requirement("session:crash-contained")
@WIRES
async def test_an_exception_of_a_helper_task_is_the_calls(wire: str) -> None:
    async with serving(create_app(Tasks, Action, Observation)) as served, raw_client(wire, served.url) as client:
        await client.reset()
        is_error(await client.step(), "EXECUTION_ERROR", "in a helper task", "LookupError")
        assert not (await client.reset()).code


def broken_factory() -> Any:
    raise SystemExit("no licence")


@requirement("session:crash-contained")
@pytest.mark.parametrize("execution", ["inline", "thread", None])
async def test_a_factory_that_exits_refuses_the_session(execution: str | None) -> None:
    import msgspec
    from support.raw_clients import RawNative, raw_socket
    from support.servers import bounded

    from openenv_async.protocol.frames import Open

    app = create_app(broken_factory, Action, Observation, execution=execution)
    async with serving(app) as served:
        async with raw_socket(served.url, native=False) as socket:
            refusal = msgspec.json.decode(await bounded(socket.recv()))["data"]
            assert (refusal["code"], refusal["exception_type"]) == ("FACTORY_ERROR", "SystemExit")
            assert refusal["factory_name"] == "broken_factory"
            assert "no licence" not in str(refusal)
            await bounded(socket.wait_closed())
        async with raw_socket(served.url, native=True) as socket:
            client = RawNative(socket)
            await client.hear()  # hello
            for sid in (1, 2):
                assert (await client.ask(Open(sid))).code == "FACTORY_ERROR"
        assert app.server.registry.active == 0
