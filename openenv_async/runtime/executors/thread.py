"""Executor in a thread that the session keeps for life: plain `def` environments, and libraries bound to one thread."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from functools import partial

from openenv_async.environment import Execution
from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.executors.base import CALLBACK, TASK, Begin, Executor, OnOutcome, Pending
from openenv_async.runtime.host import Host
from openenv_async.runtime.threads import PinnedThread
from openenv_async.tracing import run_under

logger = logging.getLogger("openenv_async")


class AbandonedThreads:
    """The threads of this process that were abandoned with a hung call."""

    total = 0
    """How many so far, those included whose call returned in the end."""

    @classmethod
    def report(cls, call: Call, session_id: str) -> StepTimeout:
        """Count and log one; returns the error for the caller."""
        cls.total += 1
        logger.warning(
            "%s() of session %s passed its deadline of %g s; its thread is abandoned (%d so far)",
            call.kind,
            session_id,
            call.timeout_s,
            cls.total,
            extra=about(session_id, event="deadline", call=call.kind, timeout_s=call.timeout_s),
        )
        return StepTimeout(
            f"{call.kind}() did not finish within {call.timeout_s:g} s; it runs in a thread, which cannot be stopped, "
            "so the session is broken: call reset() for a fresh environment",
            timeout_s=call.timeout_s,
            session_usable=False,
        )


def report_cancelled(call: Call, timeout_s: float, session_id: str) -> StepTimeout:
    """Log a coroutine that was cancelled at its deadline; returns the error for the caller."""
    logger.warning(
        "%s() of session %s passed its deadline of %g s and was cancelled",
        call.kind,
        session_id,
        timeout_s,
        extra=about(session_id, event="deadline", call=call.kind, timeout_s=timeout_s),
    )
    return StepTimeout(
        f"{call.kind}() did not finish within {timeout_s:g} s and was cancelled; the session can go on",
        timeout_s=timeout_s,
        session_usable=True,
    )


class ThreadExecutor(Executor):
    """Makes calls in one thread, which is abandoned when a call in it passes its deadline.

    An abandoned thread closes its environment when the call ends, if it ever does; a
    call that is a coroutine is cancelled to that end.

    Args:
        host: holds the environment, built on `thread` already.
        thread: where every call runs.
        session_id: for the log.
    """

    execution: Execution = "thread"
    pid = None

    def __init__(self, host: Host, thread: PinnedThread, session_id: str) -> None:
        self.step_timeout_s = host.step_timeout_s
        self._host, self._thread, self._session_id = host, thread, session_id
        self._on_outcome: OnOutcome | None = None
        self._in_flight = False
        self._closing: asyncio.Future[None] | None = None

    def bind(self, task: asyncio.Task[None], context: Context, on_outcome: OnOutcome) -> Begin:
        self._on_outcome = on_outcome
        return self._begin

    def _begin(self, call: Call) -> Pending:
        if call.timeout_s is not None:
            return TASK
        self._in_flight = True
        blocking = self._host.call_blocking
        function = partial(run_under, call.trace, blocking) if call.trace else blocking
        # A reset takes as long as it likes, however short the steps are.
        self._thread.send(self._ended, function, call, in_turn=call.kind == "step")
        return CALLBACK

    def _ended(self, outcome: Outcome | None, error: BaseException | None) -> None:
        self._in_flight = False
        result = error if outcome is None else outcome
        assert result is not None and self._on_outcome is not None  # `bind` comes first
        self._on_outcome(result)

    async def call(self, call: Call) -> Outcome:
        blocking = self._host.call_blocking
        future = self._thread.run(partial(run_under, call.trace, blocking) if call.trace else blocking, call)
        self._in_flight = True
        future.add_done_callback(self._forget)
        if call.timeout_s is None:
            return await future
        done, _ = await asyncio.wait([future], timeout=call.timeout_s)
        if done:
            return future.result()
        raise AbandonedThreads.report(call, self._session_id)

    def _forget(self, future: asyncio.Future[Outcome]) -> None:
        # A future that was cancelled with its waiter says nothing of the call, which still runs.
        self._in_flight = future.cancelled()
        if not future.cancelled():
            future.exception()

    def cancel(self) -> bool:
        # Only a coroutine can be stopped.
        return self._in_flight and self._host.interrupt()

    async def aclose(self) -> None:
        if self._closing is None:
            self._closing = self._thread.run(self._host.close_blocking)
            self._thread.stop()
        if not self._in_flight:
            await asyncio.shield(self._closing)
        else:
            self._host.interrupt()
