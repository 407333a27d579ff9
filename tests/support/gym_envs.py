"""Gymnasium environments for the tests: one with any spaces, which answers with what it was given."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

Observed = dict[str, Any]


class Mirror(gymnasium.Env[Observed, Any]):
    """Observes the type and value of the action; its reward, infos and ends are of Gymnasium's many kinds."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}

    def __init__(self, action_space: spaces.Space[Any], render_mode: str | None = None, ends_at: int = 3) -> None:
        self.action_space = action_space
        self.observation_space = spaces.Dict(
            {
                "kind": spaces.Text(50),
                "noise": spaces.Box(0, 1, (2,), np.float32),
                "count": spaces.Discrete(100),
                "pair": spaces.Tuple((spaces.Discrete(9), spaces.MultiBinary(2))),
            }
        )
        self.render_mode = render_mode
        self._ends_at = ends_at
        self._count = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        super().reset(seed=seed)
        self._count = 0
        return self._observe("reset"), {"options": options}

    def step(self, action: Any) -> tuple[Observed, float, bool, bool, dict[str, Any]]:
        self._count += 1
        info = {
            "last": np.int64(self._count),
            "array": np.arange(2),
            "set": {1},
            "odd": object,
            "action": action,
        }
        reward: Any = np.array([0.5])
        truncated = self._count >= self._ends_at
        return self._observe(type(action).__name__), reward, False, truncated, info

    def render(self) -> npt.NDArray[np.uint8]:
        return np.full((2, 2, 3), self._count, np.uint8)

    def _observe(self, kind: str) -> Observed:
        noise = self.np_random.random(2, dtype=np.float32)
        pair = (np.int64(7), np.array([0, 1], np.int8))
        return {"kind": kind, "noise": noise, "count": np.int64(self._count), "pair": pair}


if "Mirror-v0" not in gymnasium.registry:
    gymnasium.register("Mirror-v0", entry_point="support.gym_envs:Mirror", order_enforce=False)
