"""Plays an episode's plan in the caller's thread.

A policy may use what belongs to that thread, and Ctrl-C ends it. `openenv_async.client.episodes` makes the plan.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from openenv_async.client.episodes import Plan
from openenv_async.results import Episode

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")


def play(steps: Plan[ActT, ObsT], settle: Callable[..., Any]) -> Episode[ActT, ObsT]:
    """Make the calls of a plan, one after the other.

    Args:
        steps: the plan.
        settle: called as `settle(wait, value)` to wait for what an `async def` policy returns.
    """
    with contextlib.closing(steps):
        try:
            call = next(steps)
            while True:
                try:
                    value = call()
                    if inspect.isawaitable(value):
                        value = settle(_wait, value)
                except BaseException as exc:  # the plan decides what it means
                    call = steps.throw(exc)
                else:
                    call = steps.send(value)
        except StopIteration as end:
            episode: Episode[ActT, ObsT] = end.value
            return episode


async def _wait(value: Awaitable[Any]) -> Any:
    return await value
