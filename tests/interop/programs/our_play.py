"""The game of the worlds, played by this project's own clients: `python our_play.py URL`. Prints JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from openenv_async import AsyncEnv
from openenv_async.errors import EnvironmentFailed, InvalidPayload
from openenv_sync import SyncEnv

URL = sys.argv[1]


def tell(label: str, value: Any) -> None:
    print(json.dumps({label: value}, sort_keys=True), flush=True)  # noqa: T201


def plainly(result: Any) -> list[Any]:
    return [result.observation["total"], result.observation["note"], result.reward, result.done]


async def awaiting() -> None:
    async with AsyncEnv(URL) as env:
        tell("async reset", plainly(await env.reset(seed=7, episode_id="e1", start=10)))
        tell("async step", plainly(await env.step({"n": 2, "note": "two"})))
        try:
            await env.step({"note": "fail"})
        except EnvironmentFailed as exc:
            tell("async raises", exc.message)
        try:
            await env.step({"m": 1})
        except InvalidPayload:
            tell("async refuses", True)
        state = await env.state()
        tell("async state", [state["episode_id"], state["step_count"], state["total"]])


def blocking() -> None:
    with SyncEnv(URL) as env:
        tell("reset", plainly(env.reset(start=1)))
        tell("step", plainly(env.step({"n": 100, "note": "far"})))


def main() -> None:
    asyncio.run(awaiting())
    blocking()


if __name__ == "__main__":
    main()
