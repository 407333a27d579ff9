"""Typed clients: one for async code, one for notebooks and scripts."""

from __future__ import annotations

from openenv_async import AsyncEnv
from openenv_sync import SyncEnv

from .models import WordleAction, WordleObservation, WordleState


class AsyncWordleEnv(AsyncEnv[WordleAction, WordleObservation, WordleState]):
    """Plays Wordle from async code.

    Example:
        async with AsyncWordleEnv(base_url="http://localhost:8000") as env:
            await env.reset(seed=1)
            result = await env.step(WordleAction(guess="crane"))
            print(result.observation.board[-1].marks)
    """


class WordleEnv(SyncEnv[WordleAction, WordleObservation, WordleState]):
    """Plays Wordle from code without `await`.

    Example:
        with WordleEnv(base_url="http://localhost:8000") as env:
            env.reset(seed=1)
            result = env.step(WordleAction(guess="crane"))
            print(result.observation.board[-1].marks)
    """
