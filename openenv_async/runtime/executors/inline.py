"""Environments on the event loop: `async def` ones, and tiny ones whose author says that they do not block."""

from __future__ import annotations

import asyncio

from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.executors.abandoned import Abandoned
from openenv_async.runtime.host import Host
from openenv_async.runtime.offload import Offload

_LATE: set[asyncio.Task[None]] = set()
"""Closes that wait for a hung call; the loop alone would not keep them."""


class CallCancelled(Exception):
    """`cancel()` stopped the call: nobody waits for its result."""


class InlineExecutor:
    """See `Executor`. A call that passes its deadline is cancelled at its next `await`, and the environment lives.

    Args:
        host: holds the environment, built already.
        offload: runs the environment's plain `def` methods in a thread, where they cannot be
            cancelled; None runs them on the loop too.
        session_id: for the log.
    """

    def __init__(self, host: Host, offload: Offload | None, session_id: str) -> None:
        self.step_timeout_s = host.step_timeout_s
        self._host, self._offload, self._session_id = host, offload, session_id
        self._task: asyncio.Task[None] | None = None
        self._in_flight = False
        self._cancelled = False

    async def call(self, call: Call) -> Outcome:
        """See `Executor.call`."""
        if self._task is None:
            self._task = asyncio.current_task()  # the session's: one task makes every call
        self._cancelled = False
        self._in_flight = True
        try:
            if call.timeout_s is None:
                return await self._host.perform(call, self._offload)
            return await self._bounded(call, call.timeout_s)
        except asyncio.CancelledError:
            # Of the call alone; whoever cancels the session's task as well wants all of it to end.
            if self._cancelled and self._task is not None and self._task.cancelling() == 1:
                raise CallCancelled from None
            raise
        finally:
            self._in_flight = False
            if self._cancelled and self._task is not None:
                self._task.uncancel()  # also when the environment swallowed it and went on

    async def _bounded(self, call: Call, timeout_s: float) -> Outcome:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await self._host.perform(call, self._offload)
        except TimeoutError:
            if not limit.expired():
                raise
            if self._is_offloaded:
                raise Abandoned.report(call, self._session_id) from None
            raise StepTimeout(
                f"{call.kind}() did not finish within {timeout_s:g} s and was cancelled; the session can go on",
                timeout_s=timeout_s,
                session_usable=True,
            ) from None

    @property
    def _is_offloaded(self) -> bool:
        return self._offload is not None and self._offload.busy

    def cancel(self) -> bool:
        """See `Executor.cancel`."""
        if self._is_offloaded:
            return False
        if self._task is not None and self._in_flight and not self._cancelled:
            self._cancelled = True
            self._task.cancel()
        return True

    async def aclose(self) -> None:
        """See `Executor.aclose`."""
        if self._is_offloaded:
            late = asyncio.get_running_loop().create_task(self._close_late(), name="openenv late close")
            _LATE.add(late)
            late.add_done_callback(_LATE.discard)
        else:
            await self._close()

    async def _close(self) -> None:
        try:
            await self._host.close(self._offload)
        finally:
            if self._offload is not None:
                self._offload.end()

    async def _close_late(self) -> None:
        assert self._offload is not None  # aclose() took care
        await self._offload.landed()
        await self._close()
