"""Environments in a thread of their own: plain `def` ones, and libraries that insist on one thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from openenv_async.environment import Execution
from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.executors.base import Landing
from openenv_async.runtime.host import Host
from openenv_async.runtime.threads import PinnedThread
from openenv_async.tracing import run_under

logger = logging.getLogger("openenv_async")


class Abandoned:
    """The threads given up in this process."""

    total = 0
    """So far; one whose call returned in the end is still counted."""

    @classmethod
    def report(cls, call: Call, session_id: str) -> StepTimeout:
        """Count and log one; gives the error for the caller."""
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
    """Log a coroutine that was cancelled at its deadline; gives the error for the caller."""
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


class ThreadExecutor:
    """See `Executor`. A call that passes its deadline cannot be stopped: its thread is abandoned.

    An abandoned thread closes its environment when the call ends, if it ever does; a
    call that is a coroutine is cancelled to that end.

    Args:
        host: holds the environment, built on `thread` already.
        thread: where every call goes.
        name: the session's, for the log.
    """

    execution: Execution = "thread"
    pid = None

    def __init__(self, host: Host, thread: PinnedThread, name: str) -> None:
        self.step_timeout_s = host.step_timeout_s
        self._host, self._thread, self._name = host, thread, name
        self._in_flight = False
        self._closing: asyncio.Future[None] | None = None

    def launch(self, call: Call, landed: Landing) -> None:
        """See `Launcher.launch`."""
        self._in_flight = True
        # A reset takes as long as it likes, however short the steps are.
        send = self._thread.send_in_turn if call.kind == "step" else self._thread.send
        send(partial(self._came, landed), self._perform_for(call), call)

    def _perform_for(self, call: Call) -> Callable[[Call], Outcome]:
        perform = self._host.perform_blocking
        return partial(run_under, call.trace, perform) if call.trace else perform

    def _came(self, landed: Landing, outcome: Any, error: BaseException | None) -> None:
        self._in_flight = False
        landed(outcome if error is None else error)

    async def call(self, call: Call) -> Outcome:
        """See `Executor.call`."""
        future = self._thread.run(self._perform_for(call), call)
        self._in_flight = True
        future.add_done_callback(self._landed)
        return await (future if call.timeout_s is None else self._bounded(future, call))

    def _landed(self, future: asyncio.Future[Outcome]) -> None:
        # A future that was cancelled with its waiter says nothing of the call, which still runs.
        self._in_flight = future.cancelled()
        if not future.cancelled():
            future.exception()

    async def _bounded(self, future: asyncio.Future[Outcome], call: Call) -> Outcome:
        done, _ = await asyncio.wait([future], timeout=call.timeout_s)
        if done:
            return future.result()
        raise Abandoned.report(call, self._name)

    def cancel(self) -> bool:
        """See `Executor.cancel`. Only a coroutine can be stopped."""
        return self._in_flight and self._host.interrupt()

    async def aclose(self) -> None:
        """See `Executor.aclose`."""
        if self._closing is None:
            self._closing = self._thread.run(self._host.close_blocking)
            self._thread.stop()
        if not self._in_flight:
            await asyncio.shield(self._closing)
        else:
            self._host.interrupt()
