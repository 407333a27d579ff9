"""Environments whose observation is as large as the action asks for."""

from __future__ import annotations

import random

import numpy as np

from benchmarks.environments.ours.models import ArrayObservation, BytesObservation, PayloadAction
from openenv_async import Environment, State

# Random, so that no compression on the way flatters either side; made once, so that making it costs neither.
BLOCK = random.Random(0).randbytes(16 * 1024 * 1024)
PIXELS = np.frombuffer(BLOCK, dtype=np.uint8)


class BytesEnvironment(Environment[PayloadAction, BytesObservation, State]):
    """Observes bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State()

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> BytesObservation:
        self._state = State(episode_id=episode_id)
        return BytesObservation()

    async def step(self, action: PayloadAction) -> BytesObservation:
        self._state.step_count += 1
        return BytesObservation(data=BLOCK[: action.size], count=self._state.step_count)

    @property
    def state(self) -> State:
        return self._state


class ArrayEnvironment(Environment[PayloadAction, ArrayObservation, State]):
    """Observes an array of `uint8`, as a screen would be."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State()

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> ArrayObservation:
        self._state = State(episode_id=episode_id)
        return ArrayObservation(data=PIXELS[:0])

    async def step(self, action: PayloadAction) -> ArrayObservation:
        self._state.step_count += 1
        return ArrayObservation(data=PIXELS[: action.size], count=self._state.step_count)

    @property
    def state(self) -> State:
        return self._state
