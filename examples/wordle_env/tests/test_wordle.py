"""Plays whole episodes against the server's app, in this process and without a port."""

from __future__ import annotations

import asyncio

import pytest
from openenv_async.errors import EnvironmentFailed, InvalidPayload

from wordle_env import WORDS, AsyncWordleEnv, Row, WordleAction, WordleEnv, judge
from wordle_env.server.app import app


def candidates(board: list[Row]) -> list[str]:
    """Give the words that would have been marked as the guesses so far were."""
    return [w for w in WORDS if all(judge(w, row.word) == row for row in board)]


@pytest.mark.parametrize(
    ("secret", "guess", "marks"),
    [
        ("crane", "crane", "ccccc"),
        ("crane", "moist", "aaaaa"),
        ("lemon", "melee", "pcpaa"),
        ("apple", "pupil", "pacap"),
        ("eagle", "geese", "ppaac"),
    ],
)
def test_a_letter_is_marked_only_as_often_as_the_secret_has_it(
    secret: str, guess: str, marks: str
) -> None:
    """The rule that is easy to get wrong."""
    assert "".join(mark[0] for mark in judge(secret, guess).marks) == marks


def test_a_careful_player_solves_most_words() -> None:
    """The async client, as a training loop uses it: many episodes at once."""

    async def play(seed: int) -> float:
        async with AsyncWordleEnv(app) as env:
            result = await env.reset(seed=seed)
            while not result.done:
                guess = candidates(result.observation.board)[0]
                result = await env.step(WordleAction(guess=guess))
            assert result.observation.answer == (await env.state()).secret
        return result.reward or 0.0

    async def play_all() -> list[float]:
        return await asyncio.gather(*(play(seed) for seed in range(32)))

    rewards = asyncio.run(play_all())
    assert set(rewards) <= {0.0, 1.0}
    assert sum(rewards) > 24


def test_a_seed_gives_the_same_secret_again() -> None:
    """The sync client, as a notebook uses it."""

    def secret(seed: int) -> str:
        with WordleEnv(app) as env:
            env.reset(seed=seed)
            return env.state().secret

    assert secret(7) == secret(7)
    assert len({secret(seed) for seed in range(10)}) > 5


def test_six_turns_end_the_episode_and_only_reset_goes_on() -> None:
    """What is no word is explained, and costs a turn all the same."""
    with WordleEnv(app) as env:
        env.reset(word="zebra")
        for guess in ("apple", " BREAD ", "xxxxx", "toolong", "no"):
            result = env.step(WordleAction(guess=guess))
            assert not result.done and result.observation.answer is None
        assert result.observation.message == "'no' has 2 letters and not 5."
        assert result.reward == -0.1
        assert [row.word for row in result.observation.board] == ["apple", "bread"]
        result = env.step(WordleAction(guess="young"))
        assert result.done and result.reward == 0.0
        assert result.observation.message == "young is not the word. It was zebra."
        with pytest.raises(EnvironmentFailed, match="call reset"):
            env.step(WordleAction(guess="zebra"))
        env.reset(word="zebra")
        assert env.step(WordleAction(guess="zebra")).reward == 1.0


def test_a_secret_that_is_not_on_the_list_is_refused() -> None:
    """The error names the argument."""
    with WordleEnv(app) as env:
        with pytest.raises(InvalidPayload, match="on the list") as caught:
            env.reset(word="qqqqq")
        assert caught.value.path == "word"


def test_the_list_is_in_order_and_has_five_letters_each() -> None:
    """A seed means a place in the list, so an edit of it should be deliberate."""
    assert list(WORDS) == sorted(set(WORDS))
    assert all(len(word) == 5 and word.isascii() and word.islower() for word in WORDS)
