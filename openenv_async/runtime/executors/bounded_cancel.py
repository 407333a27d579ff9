"""Awaiting an author's coroutine without being held by it: one that goes on although it was cancelled is left."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class LeftBehind(Exception):
    """It did not end in time after it was cancelled, and was closed where it stood: nothing of it goes on."""


@types.coroutine
def leavable(work: Awaitable[T], grace_s: Callable[[], float]) -> Generator[Any, Any, T]:
    """Await `work` as part of the current task.

    Args:
        work: what may swallow its cancellation.
        grace_s: asked when it is first cancelled: the seconds that it has from then on.

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
            except BaseException as exc:  # whatever it is, it is the coroutine's to see
                if left and task is not None:
                    task.uncancel()
                    # Whatever the author's code makes of that, SystemExit too: nobody is left to hear of it.
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
