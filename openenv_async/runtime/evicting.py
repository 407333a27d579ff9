"""Ends a session from outside: not its client's wish, but its server's operator's.

Owns the order: stop what can be stopped, give the rest its time, then give it up.
`session` and `registry` do each part.
"""

from __future__ import annotations

import asyncio

from openenv_async.protocol.states import State
from openenv_async.runtime.session import Session

_MARGIN_S = 1.0


async def evict(session: Session, reason: BaseException, grace_s: float) -> bool:
    """End a session; returns when its environment is closed, or given up, and its slot is free.

    A coroutine in flight is cancelled at once. Plain code cannot be: in a thread it has `grace_s` seconds, then the
    thread is abandoned and closes its environment when the call ends; a process is killed.

    Args:
        session: of this event loop.
        reason: what its client is told.
        grace_s: seconds for a call that cannot be stopped.

    Returns:
        Whether a call was still running when its time was over.
    """
    task = session.task
    session.close(reason)
    if task is None or await _ended(task, grace_s):
        return False
    given_up = session.state.now is not State.CLOSED
    if given_up:
        task.cancel()
    # What closes its environment by now has a bound of its own.
    await _ended(task, session.limits.close_timeout_s + _MARGIN_S)
    return given_up


async def _ended(task: asyncio.Task[None], timeout_s: float) -> bool:
    done, _ = await asyncio.wait([task], timeout=timeout_s)
    return bool(done)
