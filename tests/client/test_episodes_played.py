"""Whole episodes: what a policy is given, what the trainer gets, and where it stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from requirements import requirement
from support.play_env import PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, gathered, serving

from openenv_async import AsyncEnv, Episode, StepResult
from openenv_async.errors import NotConnected, SessionBusy

WIRES = pytest.mark.parametrize("wire", ["native", "json"])


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


def count_to_three(seen: PlayObservation) -> PlayAction:
    return PlayAction(n=1, op="end" if seen.total == 2 else "add")


async def count_slowly(seen: PlayObservation) -> PlayAction:
    await asyncio.sleep(0)
    return count_to_three(seen)


class Remembering:
    """A policy with a memory, which is for one attempt at a time."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.begun = 0

    async def reset(self) -> None:
        self.seen.clear()
        self.begun += 1

    def __call__(self, seen: PlayObservation) -> PlayAction:
        self.seen.append(seen.total)
        return count_to_three(seen)


@requirement("episode:played")
@WIRES
@pytest.mark.parametrize("policy", [count_to_three, count_slowly, Remembering()], ids=["def", "async def", "object"])
async def test_an_episode_is_played_to_its_end(wire: Any, policy: Any) -> None:
    async with serving(play_app(Journal())) as served, PlayEnv(served.url, wire=wire) as env:
        episode: Episode[PlayAction, PlayObservation] = await bounded(
            env.run_episode(policy, seed=7, episode_id="one", retries=2)
        )
        state = await env.state()
    assert state.episode_id == "one"
    assert episode.first.observation.value == 7
    assert [seen.total for seen in episode.observations] == [0, 1, 2, 3]
    assert [action.op for action in episode.actions] == ["add", "add", "end"]
    assert all(type(result) is StepResult for result in episode.results)
    assert (episode.rewards, episode.total_reward, episode.length) == ([1.0, 1.0, 1.0], 3.0, 3)
    assert (episode.done, episode.truncated, episode.attempts, episode.failures) == (True, False, 1, ())
    if isinstance(policy, Remembering):
        assert policy.seen == [0, 1, 2]


@requirement("episode:played")
async def test_the_environments_own_arguments_reach_its_reset() -> None:
    async with serving(play_app(Journal())) as served, PlayEnv(served.url) as env:
        episode = await bounded(env.run_episode(count_to_three, start=2))
        assert (episode.first.observation.total, episode.length) == (2, 1)


@requirement("episode:played")
async def test_max_steps_leaves_the_episode_truncated_and_the_session_usable() -> None:
    async with serving(play_app(Journal())) as served, PlayEnv(served.url) as env:
        episode = await bounded(env.run_episode(lambda seen: PlayAction(n=2), max_steps=5))
        assert (episode.length, episode.done, episode.truncated, episode.total_reward) == (5, False, True, 10.0)
        # One that ends in its last step is no shorter for the limit.
        episode = await bounded(env.run_episode(count_to_three, max_steps=3))
        assert (episode.length, episode.done, episode.truncated) == (3, True, False)


async def test_an_episode_that_ends_as_it_begins_has_no_step() -> None:
    class Over(AsyncEnv[Any, Any, Any]):
        def _parse_result(self, payload: dict[str, Any]) -> StepResult[Any]:
            return StepResult(observation=payload["observation"], done=True)

    async with serving(play_app(Journal())) as served, Over(served.url) as env:
        episode = await bounded(env.run_episode(lambda seen: pytest.fail("no action is needed")))
        assert (episode.length, episode.done, episode.actions, episode.total_reward) == (0, True, [], 0.0)
        assert episode.last is episode.first


async def test_steps_without_a_reward_count_nothing() -> None:
    episode = Episode(StepResult(0), [1, 2], [StepResult(1, reward=None), StepResult(2, reward=0.5, done=True)])
    assert (episode.rewards, episode.total_reward) == ([None, 0.5], 0.5)


@requirement("episode:played")
async def test_episodes_of_many_clients_run_side_by_side() -> None:
    async with serving(play_app(Journal())) as served:
        envs = await gathered([PlayEnv.connect(served.url) for _ in range(32)])
        episodes = await gathered([env.run_episode(count_slowly, seed=seed) for seed, env in enumerate(envs)])
        assert [episode.first.observation.value for episode in episodes] == list(range(32))
        assert {episode.total_reward for episode in episodes} == {3.0}
        await gathered([env.close() for env in envs])


@requirement("episode:rules")
async def test_two_episodes_at_once_on_one_client_are_refused() -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def waits(seen: PlayObservation) -> PlayAction:
        inside.set()
        await go_on.wait()
        return PlayAction(op="end")

    async with serving(play_app(Journal())) as served, PlayEnv(served.url) as env:
        first = asyncio.ensure_future(env.run_episode(waits))
        await bounded(inside.wait())
        with pytest.raises(SessionBusy, match="one PlayEnv per episode"):
            await env.run_episode(waits)
        go_on.set()
        assert (await bounded(first)).done
        assert (await bounded(env.run_episode(waits))).done


@requirement("episode:rules")
async def test_wrong_use_is_told_before_anything_is_sent() -> None:
    with pytest.raises(NotConnected, match="connect"):
        await PlayEnv("localhost:1").run_episode(count_to_three, retries=3)
    async with serving(play_app(Journal())) as served, PlayEnv(served.url) as env:
        wrong: Any
        for wrong in ({"retries": -1}, {"max_steps": 0}, {"timeout_s": 0}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                await env.run_episode(count_to_three, **wrong)
