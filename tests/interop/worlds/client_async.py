"""The same game, its calls `async def`."""

from __future__ import annotations

import asyncio
from typing import Any

from client_sync import Game, Move, Score, View
from openenv.core.env_server import create_app


class AsyncGame(Game):
    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, start: int = 0, **kwargs: Any
    ) -> View:
        await asyncio.sleep(0)
        return self.reset(seed, episode_id, start, **kwargs)

    async def step_async(self, action: Move, timeout_s: float | None = None, **kwargs: Any) -> View:
        if action.note == "slow":
            await asyncio.sleep(0.7)
            action = Move(n=action.n)
        return self.step(action, timeout_s, **kwargs)


app = create_app(AsyncGame, Move, View, env_name="game", max_concurrent_envs=8, state_cls=Score)
