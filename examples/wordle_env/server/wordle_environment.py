"""The environment: six guesses at a secret word."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from openenv_async import Environment
from openenv_async.errors import InvalidPayload

if TYPE_CHECKING or __package__ != "server":
    from ..models import Row, WordleAction, WordleObservation, WordleState, judge
    from ..words import WORDS
    from .drawing import draw_board
else:  # started inside the project folder, where `models` is at the top
    from models import Row, WordleAction, WordleObservation, WordleState, judge
    from server.drawing import draw_board
    from words import WORDS

GUESSES = 6
SOLVED, MISSED, INVALID = 1.0, 0.0, -0.1


class WordleEnvironment(Environment[WordleAction, WordleObservation, WordleState]):
    """Six guesses at a secret word of five letters.

    Solving it earns 1, a wrong guess nothing. A guess that is no word of the list
    costs 0.1 and a turn, so that every episode ends.
    """

    def __init__(self) -> None:
        """Prepare an instance; each session has its own."""
        super().__init__()
        self._board: list[Row] = []
        self._over = True
        self._state = WordleState()

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        word: str | None = None,
    ) -> WordleObservation:
        """Begin an episode. The same seed gives the same secret.

        Args:
            seed: chooses the secret.
            episode_id: the trainer's name for the episode.
            word: the secret itself, for a curriculum of one's own.
        """
        if word is not None and word not in WORDS:
            raise InvalidPayload(f"word must be on the list, not {word!r}", path="word")
        self._board = []
        self._over = False
        self._state = WordleState(
            episode_id=episode_id or str(uuid4()),
            secret=word or random.Random(seed).choice(WORDS),
        )
        return self._observation(
            f"Guess a word of 5 letters; you have {GUESSES} turns."
        )

    def step(self, action: WordleAction) -> WordleObservation:
        """Judge a guess."""
        if self._over:
            raise RuntimeError("no episode is running: call reset() first")
        guess = action.guess.strip().lower()
        problem = _problem(guess)
        self._state.step_count += 1
        if not problem:
            self._board.append(judge(self._state.secret, guess))
        self._state.solved = guess == self._state.secret
        self._over = self._state.solved or self._state.step_count >= GUESSES
        if self._state.solved:
            return self._observation("Solved.", SOLVED)
        message = problem or f"{guess} is not the word."
        if self._over:
            message += f" It was {self._state.secret}."
        return self._observation(message, INVALID if problem else MISSED)

    @property
    def state(self) -> WordleState:
        """The episode so far; reading it changes nothing."""
        return self._state

    def render_web(self, observation: dict[str, Any]) -> str:
        """Draw the board for the web page, from an observation as it travelled."""
        return draw_board(observation["board"], GUESSES)

    def _observation(
        self, message: str, reward: float | None = None
    ) -> WordleObservation:
        return WordleObservation(
            message=message,
            board=self._board,
            guesses_left=GUESSES - self._state.step_count,
            answer=self._state.secret if self._over else None,
            reward=reward,
            done=self._over,
        )


def _problem(guess: str) -> str:
    """Say what is wrong with a guess; nothing, if it is a word of the list."""
    if len(guess) != 5:
        return f"{guess!r} has {len(guess)} letters and not 5."
    if guess not in WORDS:
        return f"{guess!r} is not on the list of words."
    return ""
