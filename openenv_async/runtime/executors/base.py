"""The contract of an executor. Every implementation passes `tests/runtime/executors/test_executor_contract.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from openenv_async.environment import Execution
from openenv_async.runtime.calls import Call, Outcome

Landing = Callable[[Outcome | BaseException], None]
"""Takes what a call ended with."""


class Executor(Protocol):
    """Holds one environment and does one call at a time with it."""

    step_timeout_s: float | None
    """What the environment's class says a reset or step may take, in seconds."""

    @property
    def execution(self) -> Execution:
        """Where the environment runs."""

    @property
    def pid(self) -> int | None:
        """The process that it lives in, if that is not the server's own."""

    async def call(self, call: Call) -> Outcome:
        """Do one call.

        Raises:
            StepTimeout: `call.timeout_s` seconds passed; `session_usable` says whether the environment lives.
            EnvError: anything else that went wrong; the environment lives.
            CancelledError: the task was cancelled, or `cancel()` was called. The call may have had an effect.
        """

    def cancel(self) -> bool:
        """Ask the call in flight to stop; False when it cannot be stopped and will run to its end."""

    async def aclose(self) -> None:
        """Run the environment's `close()` where it lives, once. Safe to repeat.

        Returns when it has run, or at once when a hung call stands in its way:
        then it runs when that call ends.
        """


class Launcher(Protocol):
    """An executor whose calls happen elsewhere, so that no task need wait for them."""

    def launch(self, call: Call, landed: Landing) -> None:
        """Do one call, which has no deadline, as `Executor.call` does; `landed` is called on the loop, once and later.

        Raises:
            EnvironmentCrashed: the environment is gone; `landed` is not called.
        """
