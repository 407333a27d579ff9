"""Typed clients: one for async code, one for notebooks and scripts."""

from __future__ import annotations

from openenv_async import AsyncEnv, State
from openenv_sync import SyncEnv

from .models import EchoAction, EchoObservation


class AsyncEchoEnv(AsyncEnv[EchoAction, EchoObservation, State]):
    """Plays Echo from async code.

    Example:
        async with AsyncEchoEnv(base_url="http://localhost:8000") as env:
            await env.reset()
            result = await env.step(EchoAction(message="hello"))
            print(result.observation.echoed_message, result.reward)
    """


class EchoEnv(SyncEnv[EchoAction, EchoObservation, State]):
    """Plays Echo from code without `await`.

    Example:
        with EchoEnv(base_url="http://localhost:8000") as env:
            env.reset()
            result = env.step(EchoAction(message="hello"))
            print(result.observation.echoed_message, result.reward)
    """
