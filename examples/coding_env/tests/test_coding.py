"""Plays whole episodes against the server's app, in this process and without a port."""

from __future__ import annotations

import asyncio

from coding_env import AsyncCodingEnv, CodingAction, CodingEnv
from coding_env.server.app import app


def test_repeating_every_word_earns_every_reward() -> None:
    """The async client, as a training loop uses it."""

    async def play() -> float:
        total = 0.0
        async with AsyncCodingEnv(app) as env:
            result = await env.reset(seed=1)
            while not result.done:
                word = result.observation.prompt
                action = CodingAction(message=word)
                result = await env.step(action)
                total += result.reward or 0.0
        return total

    assert asyncio.run(play()) == 3.0


def test_a_seed_gives_the_same_words_again() -> None:
    """The sync client, as a notebook uses it."""
    wrong = CodingAction(message="?")

    def words(seed: int) -> list[str]:
        with CodingEnv(app) as env:
            result = env.reset(seed=seed)
            seen = [result.observation.prompt]
            while not result.done:
                result = env.step(wrong)
                assert result.reward == 0.0
                seen.append(result.observation.prompt)
            assert env.state().step_count == 3
        return seen

    assert words(7) == words(7)
