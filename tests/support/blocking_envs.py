"""Environments that hold up the event loop, each in another way."""

from __future__ import annotations

import threading
from typing import Any

from openenv_async import Action, Environment, Observation, State, create_app
from openenv_async.server.app import EnvApp


class Nap(Action):
    seconds: float = 0.0


class Rested(Observation):
    pass


AWAKE = threading.Lock()
"""A test that releases it wakes who dozes."""
AWAKE.acquire()


def doze(seconds: float) -> None:
    AWAKE.acquire(timeout=seconds)


class Sleepy(Environment[Nap, Rested, State]):
    """Sleeps on the loop, in code that it calls."""

    async def reset(self, seed: int | None = None, episode_id: str | None = None, seconds: float = 0.0) -> Rested:
        doze(seconds)
        return Rested()

    async def step(self, action: Nap) -> Rested:
        doze(action.seconds)
        return Rested()

    @property
    def state(self) -> State:
        return State()


class LateSleepy(Sleepy):
    """Waits for something first, so that the session's task goes on with it."""

    async def step(self, action: Nap) -> Rested:
        import asyncio

        await asyncio.sleep(0)
        return await super().step(action)


class Plain(Environment[Nap, Rested, State]):
    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Rested:
        return Rested()

    def step(self, action: Nap) -> Rested:
        doze(action.seconds)
        return Rested()

    @property
    def state(self) -> State:
        return State()


class Declared(Plain):
    """One whose author says that it does not block. It does."""

    execution = "inline"


class Threaded(Plain):
    execution = "thread"


def blocking_app(cls: type[Environment[Any, Any, Any]], **options: Any) -> EnvApp:
    return create_app(cls, Nap, Rested, **options)
