"""The environment: it sends every message back, and pays by the character."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from openenv_async import Environment, State

if TYPE_CHECKING or __package__ != "server":
    from ..models import EchoAction, EchoObservation
else:  # started inside the project folder, where `models` is at the top
    from models import EchoAction, EchoObservation

REWARD_PER_CHARACTER = 0.1


class EchoEnvironment(Environment[EchoAction, EchoObservation, State]):
    """Sends every message back; a longer one earns more.

    Its methods are `async def`, so it lives on the server's event loop and needs no
    thread: thousands of sessions fit into one server. Such methods must not block.
    """

    def __init__(self) -> None:
        """Prepare an instance; each session has its own."""
        super().__init__()
        self._state = State()

    async def reset(
        self, seed: int | None = None, episode_id: str | None = None
    ) -> EchoObservation:
        """Begin an episode. Nothing here is random: any seed gives the same one."""
        self._state = State(episode_id=episode_id or str(uuid4()))
        return EchoObservation(echoed_message="Echo environment ready!")

    async def step(self, action: EchoAction) -> EchoObservation:
        """Send the message back; an empty one ends the episode."""
        self._state.step_count += 1
        length = len(action.message)
        return EchoObservation(
            echoed_message=action.message,
            message_length=length,
            reward=length * REWARD_PER_CHARACTER,
            done=length == 0,
        )

    @property
    def state(self) -> State:
        """The episode so far; reading it changes nothing."""
        return self._state
