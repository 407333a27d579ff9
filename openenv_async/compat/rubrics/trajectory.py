"""Rewards that are known when the episode has ended, and how they are shared among its steps."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from openenv_async.compat.rubrics.base import Rubric

Trajectory = list[tuple[Any, Any]]


class TrajectoryRubric(Rubric):
    """Remembers the episode and scores it when an observation says `done`.

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
        """Remember the step; give the episode's score if it was the last."""
        self._trajectory.append((action, observation))
        if getattr(observation, "done", False):
            return self.score_trajectory(self._trajectory)
        return self.intermediate_reward

    @abstractmethod
    def score_trajectory(self, trajectory: Trajectory) -> float:
        """Score a whole episode, as a rule from 0.0 to 1.0."""

    @abstractmethod
    def compute_step_rewards(self) -> list[float]:
        """Share the episode's score among its steps: one reward for each."""

    def reset(self) -> None:
        """Forget the episode."""
        self._trajectory = []

    def state_dict(self) -> dict[str, Any]:
        """Give the configuration; the episode is not part of it."""
        return {"intermediate_reward": self.intermediate_reward}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what is there of a configuration."""
        self.intermediate_reward = state.get("intermediate_reward", self.intermediate_reward)


class ExponentialDiscountingTrajectoryRubric(TrajectoryRubric):
    """Shares the score so that each step gets `gamma` times what the next one gets; the last gets all of it.

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
        """Give `gamma ** (steps after this one)` times the score for each step; nothing without steps."""
        if not self._trajectory:
            return []
        score = self.score_trajectory(self._trajectory)
        return [score * self.gamma**after for after in range(len(self._trajectory) - 1, -1, -1)]

    def state_dict(self) -> dict[str, Any]:
        """Give the configuration; the episode is not part of it."""
        return super().state_dict() | {"gamma": self.gamma}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what is there of a configuration."""
        super().load_state_dict(state)
        self.gamma = state.get("gamma", self.gamma)
