"""Typed clients: one for async code, one for notebooks and scripts."""

from __future__ import annotations

from openenv_async import AsyncEnv, State
from openenv_sync import SyncEnv

from .models import CodingAction, CodingObservation


class AsyncCodingEnv(AsyncEnv[CodingAction, CodingObservation, State]):
    """Plays Coding from async code.

    Example:
        async with AsyncCodingEnv(base_url="http://localhost:8000") as env:
            result = await env.reset(seed=1)
            print(result.observation.task)
            result = await env.step(CodingAction(code="print(6 * 7)"))
            print(result.observation.stdout, result.reward)
    """


class CodingEnv(SyncEnv[CodingAction, CodingObservation, State]):
    """Plays Coding from code without `await`.

    Example:
        with CodingEnv(base_url="http://localhost:8000") as env:
            print(env.reset(seed=1).observation.task)
            result = env.step(CodingAction(code="print(6 * 7)"))
            print(result.observation.stdout, result.reward)
    """
