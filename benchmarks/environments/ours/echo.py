"""An echo that counts: the smallest environment there is, with `async def` and with `def`.

Apart from `models`, so that a server of the echo does not import numpy, as the peer's does not ask for it either.
"""

from __future__ import annotations

from openenv_async import Action, Environment, Observation, State


class EchoAction(Action):
    """A message to send back."""

    message: str


class EchoObservation(Observation):
    """The message, and how many steps the episode has had."""

    message: str = ""
    count: int = 0


class AsyncEcho(Environment[EchoAction, EchoObservation, State]):
    """Runs on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State()

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> EchoObservation:
        self._state = State(episode_id=episode_id)
        return EchoObservation(message="ready")

    async def step(self, action: EchoAction) -> EchoObservation:
        self._state.step_count += 1
        return EchoObservation(message=action.message, count=self._state.step_count, reward=1.0)

    @property
    def state(self) -> State:
        return self._state


class SyncEcho(Environment[EchoAction, EchoObservation, State]):
    """Runs in a thread of its session."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State()

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> EchoObservation:
        self._state = State(episode_id=episode_id)
        return EchoObservation(message="ready")

    def step(self, action: EchoAction) -> EchoObservation:
        self._state.step_count += 1
        return EchoObservation(message=action.message, count=self._state.step_count, reward=1.0)

    @property
    def state(self) -> State:
        return self._state
