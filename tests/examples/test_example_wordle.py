"""The Wordle example, played over a socket as its README shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest
from example_server import served
from wordle_env import WORDS, AsyncWordleEnv, WordleAction, WordleEnv, judge

from openenv_async.errors import EnvironmentFailed, InvalidPayload


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("examples/wordle_env") as url:
        yield url


@pytest.mark.parametrize("wire", ["native", "json"])
async def test_wordle_is_solved_by_whoever_reads_the_marks(url: str, wire: Literal["native", "json"]) -> None:
    async def play(seed: int) -> tuple[str, float]:
        async with AsyncWordleEnv(url, wire=wire, message_timeout_s=30) as env:
            result = await env.reset(seed=seed)
            words = list(WORDS)
            while not result.done:
                result = await env.step(WordleAction(guess=words[0]))
                row = result.observation.board[-1]
                words = [word for word in words if judge(word, row.word) == row]
            state = await env.state()
            assert result.observation.answer == state.secret
            assert state.solved == (result.reward == 1.0)
            return state.secret, result.reward or 0.0

    async def play_all() -> list[tuple[str, float]]:
        return await asyncio.gather(*(play(seed) for seed in range(16)))

    outcomes = await play_all()
    assert sum(reward for _, reward in outcomes) > 11
    assert len({secret for secret, _ in outcomes}) > 11
    assert await play_all() == outcomes  # the same seeds, the same games


async def test_wordle_explains_a_guess_that_is_no_word_and_ends_after_six(url: str) -> None:
    async with AsyncWordleEnv(url, message_timeout_s=10) as env:
        await env.reset(word="lemon")
        result = await env.step(WordleAction(guess="level"))
        assert [mark[0] for mark in result.observation.board[0].marks] == list("ccaaa")
        assert (result.reward, result.observation.guesses_left) == (0.0, 5)
        for guess in ("lemons", "xyzzy", "", "12345", "lemo\n"):
            assert not result.done
            result = await env.step(WordleAction(guess=guess))
            assert result.reward == -0.1
            assert "not" in result.observation.message
        assert result.done
        assert len(result.observation.board) == 1
        assert result.observation.message.endswith("It was lemon.")
        with pytest.raises(EnvironmentFailed, match="call reset"):
            await env.step(WordleAction(guess="lemon"))


async def test_wordle_refuses_what_it_cannot_take_and_names_it(url: str) -> None:
    async with AsyncWordleEnv(url, message_timeout_s=10) as env:
        with pytest.raises(InvalidPayload, match="on the list") as refused:
            await env.reset(word="qqqqq")
        assert refused.value.path == "word"
        await env.reset(word="lemon")
        with pytest.raises(InvalidPayload) as refused:
            await env.step(WordleAction(guess="x" * 65))
        assert refused.value.path == "guess"
        assert (await env.step(WordleAction(guess="lemon"))).reward == 1.0


def test_wordle_answers_code_without_await(url: str) -> None:
    with WordleEnv(base_url=url) as env:
        env.reset(seed=1)
        assert not env.step(WordleAction(guess="nope")).done
