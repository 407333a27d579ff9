"""Gymnasium's CartPole, one per session, to set beside Gymnasium's own vector environment."""

from __future__ import annotations

from typing import Any

import gymnasium

from openenv_async import Action, Environment, Observation, State


class PushAction(Action):
    """0 pushes left, 1 pushes right."""

    push: int


class CartObservation(Observation):
    """Position, velocity, angle, angular velocity."""

    cart: list[float]


class CartPole(Environment[PushAction, CartObservation, State]):
    """An ordinary blocking environment. Begins the next episode by itself, as a vector environment does."""

    def __init__(self) -> None:
        super().__init__()
        self._game: gymnasium.Env[Any, Any] = gymnasium.make("CartPole-v1")
        self._over = False
        self._state = State()

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> CartObservation:
        values, _ = self._game.reset(seed=seed)
        self._over = False
        self._state = State(episode_id=episode_id)
        return CartObservation(cart=values.tolist())

    def step(self, action: PushAction) -> CartObservation:
        self._state.step_count += 1
        if self._over:
            values, _ = self._game.reset()
            self._over = False
            return CartObservation(cart=values.tolist(), reward=0.0)
        values, reward, terminated, truncated, _ = self._game.step(action.push)
        self._over = terminated or truncated
        return CartObservation(cart=values.tolist(), reward=float(reward), done=terminated, truncated=truncated)

    @property
    def state(self) -> State:
        return self._state

    def close(self) -> None:
        self._game.close()
