"""Typed and untyped clients, and the three hooks that OpenEnv's template overrides."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest
from requirements import requirement
from support.play_env import PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, serving

from openenv_async import AsyncEnv, StepResult
from openenv_async.errors import EnvironmentFailed, InvalidPayload, UnencodableValue

WIRES = pytest.mark.parametrize("wire", ["native", "json"])

ObsT = TypeVar("ObsT")


class Typed(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


class OfTemplate(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    """As OpenEnv's guide writes a client by hand."""

    def _step_payload(self, action: PlayAction) -> dict[str, Any]:
        return {"op": action.op, "n": action.n + 100}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[PlayObservation]:
        obs_data = payload.get("observation", {})
        observation = PlayObservation(
            total=obs_data.get("total", 0), done=payload.get("done", False), reward=payload.get("reward")
        )
        return StepResult(observation=observation, reward=payload.get("reward"), done=payload.get("done", False))

    def _parse_state(self, payload: dict[str, Any]) -> PlayState:
        return PlayState(episode_id=payload.get("episode_id"), step_count=payload.get("step_count", 0) + 1000)


class Halfway(AsyncEnv[PlayAction, Any, Any]):
    """Overrides one hook and leaves the others to the type arguments."""

    def _parse_state(self, payload: dict[str, Any]) -> Any:
        return sorted(payload)


class GenericBase(AsyncEnv[PlayAction, ObsT, Any], Generic[ObsT]):
    pass


class Filled(GenericBase[PlayObservation]):
    pass


@requirement("client:typed")
@WIRES
async def test_a_typed_client_needs_no_parsing(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, Typed(served.url, wire=wire) as env:
        first = await env.reset(episode_id="e")
        assert first.observation == PlayObservation(total=0)
        result = await env.step(PlayAction(n=2))
        assert result.observation == PlayObservation(total=2, reward=2.0)
        assert (result.reward, result.done, result.truncated, result.warnings) == (2.0, False, False, ())
        assert (await env.step(PlayAction(op="end"))).done is True
        assert await env.state() == PlayState(episode_id="e", step_count=2, total=2)


@WIRES
async def test_a_dict_does_for_a_typed_action_too(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, Typed(served.url, wire=wire) as env:
        await env.reset()
        action: Any = {"n": 5}
        assert (await env.step(action)).observation.total == 5


@requirement("client:typed")
@WIRES
async def test_the_hooks_of_openenvs_template(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, OfTemplate(served.url, wire=wire) as env:
        first = await env.reset(episode_id="e", start=7)
        assert first.observation.total == 7
        assert (first.reward, first.done) == (None, False)
        result = await env.step(PlayAction(n=1))
        assert (result.observation.total, result.reward) == (108, 101.0)
        assert result.session_id == env.session_id
        state = await env.state()
        assert (state.episode_id, state.step_count) == ("e", 1001)


@requirement("client:typed")
@WIRES
async def test_one_hook_alone(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, Halfway(served.url, wire=wire) as env:
        await env.reset()
        result = await env.step(PlayAction(n=3))
        assert result.observation["total"] == 3
        assert await env.state() == ["episode_id", "step_count", "total"]


@WIRES
async def test_a_hook_that_raises_leaves_the_session_usable(wire: Any) -> None:
    class Picky(Typed):
        def _step_payload(self, action: PlayAction) -> dict[str, Any]:
            if action.n < 0:
                raise ArithmeticError("below zero")
            return super()._step_payload(action)

        def _parse_result(self, payload: dict[str, Any]) -> StepResult[PlayObservation]:
            if payload["observation"]["total"] == 13:
                raise LookupError("unlucky")
            return super()._parse_result(payload)

    async with serving(play_app(Journal())) as served, Picky(served.url, wire=wire) as env:
        await env.reset()
        with pytest.raises(ArithmeticError):
            await env.step(PlayAction(n=-1))
        with pytest.raises(LookupError):
            await env.step(PlayAction(n=13))
        assert (await env.step(PlayAction(n=1))).observation.total == 14


@requirement("client:typed")
@WIRES
async def test_type_arguments_through_a_generic_base(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, Filled(served.url, wire=wire) as env:
        first: Any = (await env.reset()).observation
        assert first == PlayObservation(total=0)


@requirement("bad-input:wrong-value")
@WIRES
async def test_errors_of_the_server_carry_their_fields(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, AsyncEnv[Any, Any, Any](served.url, wire=wire) as env:
        await env.reset()
        with pytest.raises(InvalidPayload, match="xpected `int`, got `str` at `n`") as wrong:
            await env.step({"n": "x"})
        assert (wrong.value.path, wrong.value.code, wrong.value.fault) == ("n", "VALIDATION_ERROR", "task")
        assert wrong.value.errors[0]["loc"] == ["n"]
        with pytest.raises(
            EnvironmentFailed, match=r"ValueError: the pot is empty \[error \w+ in the server's log\]"
        ) as failed:
            await env.step({"op": "raise"})
        assert failed.value.exception_type == "ValueError"
        with pytest.raises(EnvironmentFailed, match=r"value\.deep\[0\]"):
            await env.step({"op": "object"})
        assert (await env.step({"n": 1})).observation["total"] == 1


@requirement("bad-input:unencodable")
@WIRES
async def test_an_action_that_cannot_be_encoded_is_refused_here(wire: Any) -> None:
    async with serving(play_app(Journal())) as served, AsyncEnv[Any, Any, Any](served.url, wire=wire) as env:
        with pytest.raises(UnencodableValue, match="key"):
            await env.reset(key=object())
        await env.reset()
        with pytest.raises(UnencodableValue, match=r"value\.inner"):
            await env.step({"value": {"inner": object()}})
        assert (await env.step({"n": 1})).observation["total"] == 1
