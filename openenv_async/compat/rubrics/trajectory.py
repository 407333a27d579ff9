"""Rewards that are known when the episode has ended, and their distribution over its steps."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from openenv_async.compat.rubrics.base import Rubric

Trajectory = list[tuple[Any, Any]]


class TrajectoryRubric(Rubric):
    """Remembers the episode and scores it when an observation is `done`. For subclasses.

    Args:
        intermediate_reward: the score until then.
    """

    intermediate_reward: float
    _trajectory: Trajectory

    def __init__(self, intermediate_reward: float = 0.0) -> None:
        super().__init__()
        self.intermediate_reward = intermediate_reward
        self._trajectory = []

    @property
    def trajectory(self) -> Trajectory:
        """The episode's actions and observations so far; changing the list changes nothing."""
        return list(self._trajectory)

    def forward(self, action: Any, observation: Any) -> Any:
        self._trajectory.append((action, observation))
        if getattr(observation, "done", False):
            return self.score_trajectory(self._trajectory)
        return self.intermediate_reward

    @abstractmethod
    def score_trajectory(self, trajectory: Trajectory) -> float:
        """Return the score of a whole episode, usually from 0.0 to 1.0."""

    @abstractmethod
    def compute_step_rewards(self) -> list[float]:
        """Return the rewards of the steps: the episode's score, distributed."""

    def reset(self) -> None:
        self._trajectory = []

    def state_dict(self) -> dict[str, Any]:
        return {"intermediate_reward": self.intermediate_reward}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.intermediate_reward = state.get("intermediate_reward", self.intermediate_reward)


class ExponentialDiscountingTrajectoryRubric(TrajectoryRubric):
    """Distributes the score: each step gets `gamma` times the reward of the next one, the last all of it.

    Args:
        gamma: from 0.0 to 1.0.
        intermediate_reward: the score until the episode has ended.

    Raises:
        ValueError: gamma is outside of that.
    """

    gamma: float

    def __init__(self, gamma: float = 0.99, intermediate_reward: float = 0.0) -> None:
        super().__init__(intermediate_reward)
        if not 0.0 <= gamma <= 1.0:
            raise ValueError(f"gamma must be in [0, 1], got {gamma}")
        self.gamma = gamma

    def compute_step_rewards(self) -> list[float]:
        if not self._trajectory:
            return []
        score = self.score_trajectory(self._trajectory)
        return [score * self.gamma**after for after in range(len(self._trajectory) - 1, -1, -1)]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"gamma": self.gamma}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.gamma = state.get("gamma", self.gamma)
