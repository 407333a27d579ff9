"""Executor on the event loop: `async def` environments, and small ones whose author says that they do not block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any, Literal

from openenv_async.environment import Execution
from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, CallCancelled, Outcome
from openenv_async.runtime.executors.base import TASK, Begin, Executor, OnOutcome, Pending
from openenv_async.runtime.executors.bounded_cancel import LeftBehind, leavable
from openenv_async.runtime.executors.offload import Offload
from openenv_async.runtime.executors.thread import AbandonedThreads, report_cancelled
from openenv_async.runtime.host import CallClosed, Host
from openenv_async.tracing import await_under

logger = logging.getLogger("openenv_async")

LATE_S = 0.3
"""Seconds that a coroutine has to end after its deadline. Less than the margin that a process with deadlines of its
own is given, so that the other sessions in it survive."""

CANCELLED_S = 5.0
"""The same after the caller has gone: nothing waits for the coroutine, and its clean-up may take some time."""

_LATE: set[asyncio.Task[None]] = set()
"""Closes that wait for a hung call; the event loop alone would not keep them alive."""

_DONE = object()
"""What a driver yields when its coroutine has ended."""


class _Driver:
    """Runs coroutines one after the other, each up to its first `await` that waits.

    A coroutine that ends raises StopIteration in its caller, which takes longer than the rest of a small call;
    `yield from` takes the result without the exception.
    """

    __slots__ = ("_generator", "result", "send")

    def __init__(self) -> None:
        self.result: Any = None
        self._generator = self._run()
        self.send = self._generator.send
        """Begin a coroutine, or continue it; returns what it waits for, or `_DONE`. Raises what it raises."""
        self.send(None)

    @types.coroutine
    def _run(self) -> Generator[Any, Any, None]:
        while True:
            coroutine = yield _DONE
            self.result = yield from coroutine

    def throw(self, exc: BaseException) -> Any:
        """Continue the coroutine with an exception; otherwise as `send`."""
        return self._generator.throw(exc)

    def close(self) -> None:
        """Close the coroutine where it stands."""
        self._generator.close()


class _BegunCall:
    """A call that has run up to its first `await`, for the session's task to continue.

    Args:
        driver: runs it; its result is the outcome.
        first: what the call waits for.
    """

    def __init__(self, driver: _Driver, first: Any) -> None:
        self._driver, self._first = driver, first

    def __await__(self) -> Generator[Any, Any, Outcome]:
        waits_for = self._first
        while waits_for is not _DONE:
            try:
                sent = yield waits_for
            except BaseException as exc:  # the task's cancellation, among others: the coroutine handles it
                waits_for = self._driver.throw(exc)
            else:
                waits_for = self._driver.send(sent)
        outcome: Outcome = self._driver.result
        return outcome

    def close(self) -> None:
        """End a call that was not continued, as a cancelled task would."""
        # Whatever the author's code makes of that, SystemExit too: there is no caller to tell.
        with contextlib.suppress(BaseException):
            self._driver.throw(CallClosed())
        with contextlib.suppress(BaseException):
            self._driver.close()


class InlineExecutor(Executor):
    """Makes calls on the event loop. A call that passes its deadline is cancelled, and the environment lives.

    A call that goes on after its cancellation is closed where it stands, and its session is broken.

    Args:
        host: holds the environment, built already.
        offload: runs the environment's plain `def` methods in a thread, where they cannot be
            cancelled; None runs them on the event loop too.
        session_id: for the log.
    """

    execution: Execution = "inline"
    pid = None

    def __init__(self, host: Host, offload: Offload | None, session_id: str) -> None:
        self.step_timeout_s = host.step_timeout_s
        self._host, self._offload, self._session_id = host, offload, session_id
        self._task: asyncio.Task[None] | None = None
        self._in_flight = False
        self._cancelled = False
        self._driver = _Driver()
        self._begun: _BegunCall | None = None
        self._within = False
        """Calls begin within other tasks, which have to step aside."""

    def bind(self, task: asyncio.Task[None], context: Context, on_outcome: OnOutcome) -> Begin:
        self._task = task
        return partial(context.run, partial(self._begin, task))

    def _begin(self, task: asyncio.Task[None], call: Call) -> Outcome | Literal[Pending.TASK]:
        # As the session's task and in its context: the environment cannot tell such a call from any other. Most steps
        # of async environments wait for nothing, so that the task need not be woken for them.
        self._cancelled = False
        loop = task.get_loop()
        outer = asyncio.current_task() if self._within else None
        if outer is None:
            try:
                _enter_task(loop, task)
            except RuntimeError:
                if self._within:
                    raise
                # Finding out by the error takes 15 µs, and asking each time takes time too, so it is remembered.
                self._within = True
                return self._begin(task, call)
        else:
            _leave_task(loop, outer)
            _enter_task(loop, task)
        driver = self._driver
        try:
            work = self._traced(call) if call.trace else self._host.call(call, self._offload)
            if type(work) is Outcome:
                return work
            first = driver.send(work)
        except BaseException as exc:
            self._driver = _Driver()
            if isinstance(exc, asyncio.CancelledError):
                raise CallCancelled from None
            raise
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if first is not _DONE:
            self._begun = _BegunCall(driver, first)
            self._driver = _Driver()
            return TASK
        outcome: Outcome
        outcome, driver.result = driver.result, None
        return outcome

    def _traced(self, call: Call) -> Coroutine[Any, Any, Outcome]:
        return await_under(call.trace, self._whole(call))

    async def _whole(self, call: Call) -> Outcome:
        work = self._host.call(call, self._offload)
        return work if isinstance(work, Outcome) else await work

    async def call(self, call: Call) -> Outcome:
        if self._task is None:
            self._task = asyncio.current_task()
        work: _BegunCall | Coroutine[Any, Any, Outcome]
        if self._begun is None:
            self._cancelled = False
            work = self._traced(call) if call.trace else self._whole(call)
        else:
            work, self._begun = self._begun, None
            if self._cancelled and self._task is not None:
                self._task.cancel()  # `cancel` came after the call began
        self._in_flight = True
        bound: Awaitable[Outcome] = leavable(work, self._patience_s)
        try:
            if call.timeout_s is None:
                return await bound
            return await self._bounded(bound, call, call.timeout_s)
        except LeftBehind:
            raise self._left_behind(call) from None
        except asyncio.CancelledError:
            # Only the call was cancelled; a second cancellation of the session's task would end the session.
            if self._cancelled and self._task is not None and self._task.cancelling() == 1:
                raise CallCancelled from None
            raise
        finally:
            self._in_flight = False
            if self._cancelled and self._task is not None:
                self._task.uncancel()  # also when the environment swallowed it and went on

    def _patience_s(self) -> float:
        return CANCELLED_S if self._cancelled else LATE_S

    def _left_behind(self, call: Call) -> BaseException:
        """Log a call that swallowed its cancellation; returns the error for its caller."""
        logger.warning(
            "%s() of session %s went on although it was cancelled; it was closed where it stood, and its session ends",
            call.kind,
            self._session_id,
        )
        if self._task is not None and self._task.cancelling() > self._cancelled:
            return asyncio.CancelledError()  # of the whole session
        late = f"did not finish within {call.timeout_s:g} s and" if call.timeout_s is not None else "was cancelled and"
        return StepTimeout(
            f"{call.kind}() {late} went on although it was cancelled, so the session is broken: "
            "call reset() for a fresh environment",
            timeout_s=call.timeout_s,
            session_usable=False,
        )

    async def _bounded(self, work: Awaitable[Outcome], call: Call, timeout_s: float) -> Outcome:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            if self._is_offloaded:
                raise AbandonedThreads.report(call, self._session_id) from None
            raise report_cancelled(call, timeout_s, self._session_id) from None

    @property
    def _is_offloaded(self) -> bool:
        return self._offload is not None and self._offload.busy

    def cancel(self) -> bool:
        if self._is_offloaded:
            return False
        if self._begun is not None:
            self._cancelled = True
        elif self._task is not None and self._in_flight and not self._cancelled:
            self._cancelled = True
            self._task.cancel()
        return True

    async def aclose(self) -> None:
        self._driver.close()
        if self._begun is not None:
            self._begun.close()
        if self._is_offloaded:
            late = asyncio.get_running_loop().create_task(self._close_late(), name="openenv late close")
            _LATE.add(late)
            late.add_done_callback(_LATE.discard)
        else:
            await self._close()

    async def _close(self) -> None:
        try:
            await leavable(self._host.close(self._offload), lambda: LATE_S)
        except LeftBehind:
            logger.warning("close() of session %s went on although it was cancelled; it is left", self._session_id)
        finally:
            if self._offload is not None:
                self._offload.end()

    async def _close_late(self) -> None:
        assert self._offload is not None  # aclose() has checked
        await self._offload.finished()
        await self._close()
