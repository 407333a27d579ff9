"""Environments on the event loop: `async def` ones, and tiny ones whose author says that they do not block."""

from __future__ import annotations

import asyncio

from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.host import Host, Offload


class CallCancelled(Exception):
    """`cancel()` stopped the call: nobody waits for its result."""


class InlineExecutor:
    """See `Executor`. A call that passes its deadline is cancelled at its next `await`, and the environment lives.

    Args:
        host: holds the environment, built already.
        offload: runs the environment's plain `def` methods in a thread; None runs them on the loop too.
    """

    def __init__(self, host: Host, offload: Offload | None) -> None:
        self.step_timeout_s = host.step_timeout_s
        self._host, self._offload = host, offload
        self._limit: asyncio.Timeout | None = None
        self._cancelled = False

    async def call(self, call: Call) -> Outcome:
        """See `Executor.call`."""
        self._cancelled = False
        self._limit = asyncio.timeout(call.timeout_s)
        try:
            async with self._limit:
                return await self._host.perform(call, self._offload)
        except TimeoutError:
            if not self._limit.expired():
                raise
            if self._cancelled:
                raise CallCancelled from None
            raise StepTimeout(
                f"{call.kind}() did not finish within {call.timeout_s:g} s and was cancelled; the session can go on",
                timeout_s=call.timeout_s,
                session_usable=True,
            ) from None
        finally:
            self._limit = None

    def cancel(self) -> bool:
        """See `Executor.cancel`."""
        if self._limit is not None:
            self._cancelled = True
            self._limit.reschedule(asyncio.get_running_loop().time())
        return True

    async def aclose(self) -> None:
        """See `Executor.aclose`."""
        await self._host.close(self._offload)
