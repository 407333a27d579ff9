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
    """How a call goes on that has not ended when it was begun."""

    TASK = auto()
    """The session's task awaits `Executor.call`."""
    CALLBACK = auto()
    """The executor passes the outcome to the callback that `bind` was given, in a later turn of the event loop."""


TASK: Final = Pending.TASK
CALLBACK: Final = Pending.CALLBACK

Begin = Callable[[Call], Outcome | Literal[Pending.TASK, Pending.CALLBACK]]
"""Begins a call outside of the session's task, without waiting; returns the outcome where the call ends at once.

Raises `EnvError` when the call has failed, and `CallCancelled` when the session's task is being cancelled.
"""

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

    def bind(self, task: asyncio.Task[None], context: Context, on_outcome: OnOutcome) -> Begin:
        """Make calls for a session: return the function that begins them. Called once, before any call.

        Args:
            task: the session's.
            context: the task's.
            on_outcome: receives the outcomes of calls that go on as `Pending.CALLBACK`.
        """

    async def call(self, call: Call) -> Outcome:
        """Make one call, or finish one that was begun and goes on as `Pending.TASK`. Awaited by one task alone.

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
