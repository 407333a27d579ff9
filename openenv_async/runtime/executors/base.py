"""The contract of an executor, which holds one environment and makes one call at a time with it.

Every implementation passes `tests/runtime/executors/test_executor_contract.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from enum import Enum, auto
from typing import Final, Literal, Protocol

from openenv_async.environment import Execution
from openenv_async.runtime.calls import Call, Outcome


class Pending(Enum):
    """How a call that has not ended in `Executor.begin` goes on."""

    TASK = auto()
    """The session's task awaits `call()`."""
    CALLBACK = auto()
    """Its outcome is passed to the callback that `bind` was given."""


TASK: Final = Pending.TASK
CALLBACK: Final = Pending.CALLBACK

Begun = Outcome | Literal[Pending.TASK, Pending.CALLBACK]
"""What `Executor.begin` returns."""

OnOutcome = Callable[[Outcome | BaseException], None]
"""Receives what a call ended with."""


class Executor(Protocol):
    """Holds one environment and makes one call at a time with it."""

    execution: Execution
    """Where the environment runs."""

    pid: int | None
    """The process that it lives in; None: the server's own."""

    step_timeout_s: float | None
    """What the environment's class allows for a reset or step, in seconds."""

    def bind(self, task: asyncio.Task[None], context: Context, on_outcome: OnOutcome) -> None:
        """Set the session's task and context, and the callback for outcomes. Called once, before `begin`."""

    def begin(self, call: Call, *, in_task: bool) -> Begun:
        """Begin a call without waiting, and finish it at once where that takes no waiting.

        Args:
            call: what to do.
            in_task: the session's own task is the caller.

        Returns:
            The outcome, or how the call goes on. The callback is never called before this returns.

        Raises:
            EnvError: the call has failed.
            CallCancelled: the session's task is being cancelled.
        """
        return TASK

    async def call(self, call: Call) -> Outcome:
        """Make one call, or finish the one for which `begin` returned `TASK`. Always awaited by the same task.

        Raises:
            StepTimeout: `call.timeout_s` seconds passed; `session_usable` says whether the environment lives.
            EnvError: anything else that went wrong; the environment lives.
            CallCancelled: `cancel()` was called. The call may have had an effect.
            CancelledError: the task was cancelled.
        """

    def cancel(self) -> bool:
        """Ask the call in flight to stop; returns False when it cannot be stopped and will run to its end."""

    def leave(self) -> None:
        """Stop the call in flight because its session is closed, by force where the executor can use force."""
        self.cancel()

    async def aclose(self) -> None:
        """Run the environment's `close()` where it lives, once. Safe to repeat.

        Returns when it has run, or at once while a hung call keeps it from running: then it runs when that call ends.
        """
