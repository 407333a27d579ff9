"""A counting game with typed actions, as OpenEnv's guide has an author write one."""

from __future__ import annotations

import time
from typing import Any

from openenv.core.env_server import Action, Environment, Observation, State, create_app


class Move(Action):
    n: int = 0
    note: str = ""


class View(Observation):
    total: int = 0
    note: str = ""
    items: list[float] = []


class Score(State):
    total: int = 0


class Game(Environment[Move, View, Score]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = Score(episode_id="none")

    def reset(self, seed: int | None = None, episode_id: str | None = None, start: int = 0, **kwargs: Any) -> View:
        self._state = Score(episode_id=episode_id or "unnamed", total=start + (seed or 0))
        return View(total=self._state.total, note="begun")

    def step(self, action: Move, timeout_s: float | None = None, **kwargs: Any) -> View:
        if action.note == "fail":
            raise ValueError("the move is not allowed")
        if action.note == "slow":
            time.sleep(0.7)
        self._state.step_count += 1
        self._state.total += action.n
        return View(
            total=self._state.total,
            note=action.note,
            items=[0.5, float(action.n)],
            reward=action.n if action.note != "float" else action.n / 3,
            done=self._state.total >= 100,
            metadata={"note": action.note} if action.note else {},
        )

    @property
    def state(self) -> Score:
        return self._state


app = create_app(Game, Move, View, env_name="game", max_concurrent_envs=8, state_cls=Score)
