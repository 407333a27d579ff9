# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""`ours.echo` in OpenEnv's terms: asynchronous environments override `reset_async` and `step_async`."""

from models import EchoAction, EchoObservation
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import State


class SyncEcho(Environment):
    """Runs in a thread of its session."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self._state = State()

    def reset(self, seed=None, episode_id=None, **kwargs):
        self._state = State(episode_id=episode_id)
        return EchoObservation(message="ready")

    def step(self, action: EchoAction, timeout_s=None, **kwargs):
        self._state.step_count += 1
        return EchoObservation(message=action.message, count=self._state.step_count, reward=1.0)

    @property
    def state(self):
        return self._state


class AsyncEcho(SyncEcho):
    """Runs on the event loop."""

    async def reset_async(self, seed=None, episode_id=None, **kwargs):
        self._state = State(episode_id=episode_id)
        return EchoObservation(message="ready")

    async def step_async(self, action: EchoAction, timeout_s=None, **kwargs):
        self._state.step_count += 1
        return EchoObservation(message=action.message, count=self._state.step_count, reward=1.0)
