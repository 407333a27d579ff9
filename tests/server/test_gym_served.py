"""Gymnasium environments over a real socket, native and JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import gymnasium
import numpy as np
import pytest
import support.gym_envs  # noqa: F401  - registers Mirror-v0
from gymnasium import spaces

from openenv_async import AsyncEnv
from openenv_async.errors import EnvironmentFailed, InvalidPayload, UsageError
from openenv_async.server.gym import gym_app, gym_environment
from openenv_async.server.runner import serve

BOUND_S = 15
Wire = Literal["native", "json"]


@contextlib.asynccontextmanager
async def played(env_id: str, wire: Wire = "native", **arguments: Any) -> AsyncIterator[AsyncEnv[Any, Any, Any]]:
    stop, urls = asyncio.Event(), asyncio.get_running_loop().create_future()
    app = gym_app(env_id, **arguments)
    task = asyncio.create_task(serve(app, bind=[("127.0.0.1", 0)], ready=urls.set_result, stop=stop))
    url = (await asyncio.wait_for(urls, BOUND_S))[0]
    try:
        async with AsyncEnv[Any, Any, Any](url, wire=wire, message_timeout_s=BOUND_S) as env:
            yield env
    finally:
        stop.set()
        await asyncio.wait_for(task, BOUND_S)


@pytest.mark.parametrize("wire", ["native", "json"])
async def test_an_episode_is_the_one_that_gymnasium_plays(wire: Wire) -> None:
    here = gymnasium.make("CartPole-v1")
    expected, _ = here.reset(seed=7)
    async with played("CartPole-v1", wire) as env:
        result = await env.reset(seed=7, episode_id="e")
        steps, total = 0, 0.0
        while True:
            np.testing.assert_array_almost_equal(result.observation["observation"], expected, decimal=6)
            if result.done:
                break
            expected, reward, *_ = here.step(steps % 2)
            result = await env.step({"action": steps % 2})
            steps, total = steps + 1, total + float(reward)
            assert result.reward == reward
        assert not result.truncated
        state = await env.state()
        assert (state["episode_id"], state["step_count"], state["total_reward"]) == ("e", steps, total)
    here.close()


async def test_arrays_stay_arrays_on_the_native_wire() -> None:
    async with played("CartPole-v1") as env:
        observation = (await env.reset(seed=1)).observation["observation"]
    assert isinstance(observation, np.ndarray)
    assert observation.dtype == np.float32


async def test_a_step_after_the_end_is_an_error_until_the_next_reset() -> None:
    async with played("Mirror-v0", action_space=spaces.Discrete(2), ends_at=1) as env:
        await env.reset()
        result = await env.step({"action": 0})
        assert (result.done, result.truncated) == (True, True)
        with pytest.raises(EnvironmentFailed, match=r"was cut short at step 1: call reset\(\) before the next step"):
            await env.step({"action": 0})
        await env.reset()
        assert (await env.step({"action": 0})).reward == 0.5


async def test_an_illegal_action_costs_nothing() -> None:
    async with played("CartPole-v1") as env:
        await env.reset()
        with pytest.raises(InvalidPayload, match="a whole number from 0 to 1") as refused:
            await env.step({"action": 2})
        assert refused.value.path == "action"
        with pytest.raises(InvalidPayload):
            await env.step({"action": "left"})
        await env.step({"action": 1})
        assert (await env.state())["step_count"] == 1


ACTIONS: list[tuple[spaces.Space[Any], Any, str]] = [
    (spaces.Discrete(3), 2, "int"),
    (spaces.Box(-1, 1, (2,), np.float32), [0.5, -0.5], "ndarray"),
    (spaces.MultiDiscrete([2, 3]), [1, 2], "ndarray"),
    (spaces.MultiBinary(2), [1, 0], "ndarray"),
    (spaces.Text(5), "go", "str"),
    (spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,)))), [1, [0.5]], "tuple"),
    (spaces.Dict({"a": spaces.Discrete(2), "b": spaces.MultiBinary(2)}), {"a": 1, "b": [0, 1]}, "dict"),
]


@pytest.mark.parametrize("wire", ["native", "json"])
@pytest.mark.parametrize(
    ("space", "action", "kind"), ACTIONS, ids=[kind + str(at) for at, (*_, kind) in enumerate(ACTIONS)]
)
async def test_an_action_of_every_space_arrives(space: spaces.Space[Any], action: Any, kind: str, wire: Wire) -> None:
    async with played("Mirror-v0", wire, action_space=space) as env:
        await env.reset()
        result = await env.step({"action": action})
    assert result.observation["observation"]["kind"] == kind
    assert result.metadata is not None
    assert _lists(result.metadata["action"]) == action


@pytest.mark.parametrize("wire", ["native", "json"])
async def test_observations_and_infos_of_every_kind_arrive(wire: Wire) -> None:
    async with played("Mirror-v0", wire, action_space=spaces.Discrete(2)) as env:
        first = await env.reset(seed=3, options={"level": 4})
        assert first.metadata == {"options": {"level": 4}}
        result = await env.step({"action": 1})
    seen = result.observation["observation"]
    assert (seen["count"], _lists(seen["pair"])) == (1, [7, [0, 1]])
    assert (result.reward, result.done) == (0.5, False)
    assert result.metadata is not None
    assert result.metadata["last"] == 1
    assert _lists(result.metadata["array"]) == [0, 1]
    assert result.metadata["set"] == [1]
    assert result.metadata["odd"] == "<class 'object'>"


async def test_the_same_seed_gives_the_same_episode() -> None:
    async with played("Mirror-v0", action_space=spaces.Discrete(2)) as env:
        noise = [(await env.reset(seed=seed)).observation["observation"]["noise"].tolist() for seed in (5, 5, 6)]
    assert noise[0] == noise[1] != noise[2]


async def test_a_frame_comes_when_it_is_asked_for() -> None:
    async with played("Mirror-v0", action_space=spaces.Discrete(2), render_mode="rgb_array") as env:
        assert (await env.reset()).observation["frame"] is None
        assert (await env.reset(render=True)).observation["frame"].shape == (2, 2, 3)
        assert (await env.step({"action": 0, "render": True})).observation["frame"].max() == 1


async def test_a_frame_without_a_render_mode_says_how_to_get_one() -> None:
    async with played("Mirror-v0", action_space=spaces.Discrete(2)) as env:
        with pytest.raises(InvalidPayload, match=r"serve it as gym:Mirror-v0\?render_mode=rgb_array"):
            await env.reset(render=True)
        await env.reset()


def test_the_classes_are_named_after_the_environment() -> None:
    env_cls, action_cls, observation_cls, state_cls = gym_environment("CartPole-v1")
    names = [cls.__name__ for cls in (env_cls, action_cls, observation_cls, state_cls)]
    assert names == ["CartPoleEnvironment", "CartPoleAction", "CartPoleObservation", "GymState"]
    metadata = env_cls().get_metadata()
    assert metadata.name == "CartPole-v1"
    assert "Actions: Discrete(2)" in metadata.description
    assert not metadata.description.startswith("Description")


def test_an_id_that_does_not_exist_is_told_with_what_is_near() -> None:
    with pytest.raises(UsageError, match="Environment `CartPool` doesn't exist. Did you mean: `CartPole`"):
        gym_environment("CartPool-v1")


def _lists(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    return {key: _lists(item) for key, item in value.items()} if isinstance(value, dict) else value
