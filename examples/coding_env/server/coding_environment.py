"""The environment: an agent sees a word and is rewarded for repeating it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import uuid4

from openenv_async import Environment, State

if TYPE_CHECKING or __package__ != "server":
    from ..models import CodingAction, CodingObservation
else:  # started inside the project folder, where `models` is at the top
    from models import CodingAction, CodingObservation

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord")
ROUNDS = 3


class CodingEnvironment(Environment[CodingAction, CodingObservation, State]):
    """Shows a word each round; repeating it earns a reward of 1."""

    def __init__(self) -> None:
        """Prepare an instance; each session has its own."""
        super().__init__()
        self._random = random.Random()
        self._word = ""
        self._state = State()

    def reset(
        self, seed: int | None = None, episode_id: str | None = None
    ) -> CodingObservation:
        """Begin an episode. The same seed gives the same words."""
        self._random = random.Random(seed)
        self._word = self._random.choice(WORDS)
        self._state = State(episode_id=episode_id or str(uuid4()))
        return CodingObservation(prompt=self._word)

    def step(self, action: CodingAction) -> CodingObservation:
        """Compare what the agent said with the word, then show the next one."""
        reward = 1.0 if action.message == self._word else 0.0
        self._word = self._random.choice(WORDS)
        self._state.step_count += 1
        return CodingObservation(
            prompt=self._word,
            echoed_message=action.message,
            reward=reward,
            done=self._state.step_count >= ROUNDS,
        )

    @property
    def state(self) -> State:
        """The episode so far, for whoever watches; reading it changes nothing."""
        return self._state
