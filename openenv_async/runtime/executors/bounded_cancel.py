"""Awaits an author's coroutine, but not for long after its cancellation: one that goes on all the same is closed."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class LeftBehind(Exception):
    """A coroutine did not end in time after it was cancelled, and was closed where it stood."""


@types.coroutine
def leavable(work: Awaitable[T], grace_s: Callable[[], float]) -> Generator[Any, Any, T]:
    """Await `work` as part of the current task.

    Args:
        work: may swallow its cancellation.
        grace_s: called when it is first cancelled; returns the seconds that it has from then on.

    Raises:
        LeftBehind: it went on for longer. The cancellation that it swallowed counts as before.
    """
    steps = work.__await__()
    task: asyncio.Task[Any] | None = None
    timer: asyncio.TimerHandle | None = None
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        assert task is not None  # it was cancelled
        task.cancel()

    try:
        waits_for = next(steps)
        while True:
            try:
                sent = yield waits_for
            except BaseException as exc:  # whatever it is, the coroutine handles it
                if left and task is not None:
                    task.uncancel()
                    # Whatever the author's code makes of that, SystemExit too: there is no caller to tell.
                    with contextlib.suppress(BaseException):
                        steps.close()
                    raise LeftBehind from None
                if timer is None and isinstance(exc, asyncio.CancelledError):
                    task = asyncio.current_task()
                    timer = asyncio.get_running_loop().call_later(grace_s(), leave)
                waits_for = steps.throw(exc)
            else:
                waits_for = steps.send(sent)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        if timer is not None:
            timer.cancel()
