# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""`ours.payload` in OpenEnv's terms. Encoding what its wire cannot carry is part of the author's step."""

import base64
import random

import numpy as np
from models import ArrayObservation, BytesObservation, PayloadAction
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import State

BLOCK = random.Random(0).randbytes(16 * 1024 * 1024)
PIXELS = np.frombuffer(BLOCK, dtype=np.uint8)


class _Payload(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self._state = State()

    def reset(self, seed=None, episode_id=None, **kwargs):
        raise NotImplementedError

    def step(self, action: PayloadAction, timeout_s=None, **kwargs):
        raise NotImplementedError

    @property
    def state(self):
        return self._state


class BytesEnvironment(_Payload):
    """Observes bytes."""

    async def reset_async(self, seed=None, episode_id=None, **kwargs):
        self._state = State(episode_id=episode_id)
        return BytesObservation()

    async def step_async(self, action: PayloadAction, timeout_s=None, **kwargs):
        self._state.step_count += 1
        text = base64.b64encode(BLOCK[: action.size]).decode("ascii")
        return BytesObservation(data=text, count=self._state.step_count)


class ArrayEnvironment(_Payload):
    """Observes an array of `uint8`, as a screen would be."""

    async def reset_async(self, seed=None, episode_id=None, **kwargs):
        self._state = State(episode_id=episode_id)
        return ArrayObservation()

    async def step_async(self, action: PayloadAction, timeout_s=None, **kwargs):
        self._state.step_count += 1
        return ArrayObservation(data=PIXELS[: action.size].tolist(), count=self._state.step_count)
