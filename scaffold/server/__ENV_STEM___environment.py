"""The environment: an agent sees a word and is rewarded for repeating it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import uuid4

from openenv_async import Environment, State

if TYPE_CHECKING or __package__ != "server":
    from ..models import __ENV_CLASS__Action, __ENV_CLASS__Observation
else:  # started inside the project folder, where `models` is at the top
    from models import __ENV_CLASS__Action, __ENV_CLASS__Observation

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord")
ROUNDS = 3


class __ENV_CLASS__Environment(Environment[__ENV_CLASS__Action, __ENV_CLASS__Observation, State]):
    """Shows a word each round; repeating it earns a reward of 1."""

    def __init__(self) -> None:
        """Prepare an instance; each session has its own."""
        super().__init__()
        self._random = random.Random()
        self._word = ""
        self._state = State()

    def reset(
        self, seed: int | None = None, episode_id: str | None = None
    ) -> __ENV_CLASS__Observation:
        """Begin an episode. The same seed gives the same words."""
        self._random = random.Random(seed)
        self._word = self._random.choice(WORDS)
        self._state = State(episode_id=episode_id or str(uuid4()))
        return __ENV_CLASS__Observation(prompt=self._word)

    def step(self, action: __ENV_CLASS__Action) -> __ENV_CLASS__Observation:
        """Compare what the agent said with the word, then show the next one."""
        reward = 1.0 if action.message == self._word else 0.0
        self._word = self._random.choice(WORDS)
        self._state.step_count += 1
        return __ENV_CLASS__Observation(
            prompt=self._word,
            echoed_message=action.message,
            reward=reward,
            done=self._state.step_count >= ROUNDS,
        )

    @property
    def state(self) -> State:
        """The episode so far; reading it changes nothing."""
        return self._state
