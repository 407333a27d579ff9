"""This runtime's server with a world of its choice: `python own_server.py WORLD PLACES`."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

import numpy

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server.runner import ServeOptions, serve


class PlayAction(Action):
    n: int


class PlayObservation(Observation):
    count: int = 0
    roll: int = 0
    grid: Any = None


class Counting(Environment[PlayAction, PlayObservation, State]):
    """Counts, and rolls dice by its seed; on the event loop."""

    def __init__(self) -> None:
        self._random, self._state = random.Random(), State()

    def _begin(self, seed: int | None, episode_id: str | None) -> PlayObservation:
        self._random, self._state = random.Random(seed), State(episode_id=episode_id)
        return PlayObservation()

    def _count(self) -> PlayObservation:
        self._state.step_count += 1
        return PlayObservation(count=self._state.step_count, roll=self._random.randrange(10**9), reward=1.0)

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return self._begin(seed, episode_id)

    async def step(self, action: PlayAction) -> Any:
        await asyncio.sleep(0)
        return self._count()

    @property
    def state(self) -> State:
        return self._state


class Slow(Counting):
    """The same in a thread, a tenth of a second for each step."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Any:
        return self._begin(seed, episode_id)

    def step(self, action: PlayAction) -> Any:
        time.sleep(0.1)
        return self._count()


class Arrays(Counting):
    """Shows arrays, which the two wires carry each in its way."""

    async def step(self, action: PlayAction) -> Any:
        observation = self._count()
        observation.grid = numpy.full((2, 2), self._random.random(), dtype=numpy.float32)
        return observation


class Unseeded(Counting):
    """Takes no seed."""

    async def reset(self, episode_id: str | None = None) -> Any:  # type: ignore[override]
        return self._begin(None, episode_id)


class Short(Counting):
    """Every episode is over after one step."""

    async def step(self, action: PlayAction) -> Any:
        observation = self._count()
        observation.done = True
        return observation


WORLDS: dict[str, type[Counting]] = {
    "counting": Counting,
    "slow": Slow,
    "arrays": Arrays,
    "unseeded": Unseeded,
    "short": Short,
}


def tell(urls: list[str]) -> None:
    sys.stdout.write(urls[0] + "\n")
    sys.stdout.flush()


async def main(world: str, places: str) -> None:
    app = create_app(WORLDS[world], PlayAction, PlayObservation, "play", max_concurrent_envs=int(places))
    await serve(
        app,
        bind=[("127.0.0.1", 0)],
        options=ServeOptions(grace_s=0.5, linger_s=0.5),
        ready=tell,
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
