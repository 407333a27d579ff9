"""Typed clients: one for async code, one for notebooks and scripts."""

from __future__ import annotations

from openenv_async import AsyncEnv, State
from openenv_sync import SyncEnv

from .models import __ENV_CLASS__Action, __ENV_CLASS__Observation


class Async__ENV_CLASS__Env(AsyncEnv[__ENV_CLASS__Action, __ENV_CLASS__Observation, State]):
    """Plays __ENV_TITLE__ from async code.

    Example:
        async with Async__ENV_CLASS__Env(base_url="http://localhost:8000") as env:
            result = await env.reset(seed=1)
            word = result.observation.prompt
            result = await env.step(__ENV_CLASS__Action(message=word))
    """


class __ENV_CLASS__Env(SyncEnv[__ENV_CLASS__Action, __ENV_CLASS__Observation, State]):
    """Plays __ENV_TITLE__ from code without `await`.

    Example:
        with __ENV_CLASS__Env(base_url="http://localhost:8000") as env:
            result = env.reset(seed=1)
            word = result.observation.prompt
            result = env.step(__ENV_CLASS__Action(message=word))
    """
