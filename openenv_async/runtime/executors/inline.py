"""Environments on the event loop: `async def` ones, and tiny ones whose author says that they do not block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context
from typing import Any

from openenv_async.environment import Execution
from openenv_async.errors import StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.executors.bounded_cancel import LeftBehind, leavable
from openenv_async.runtime.executors.offload import Offload
from openenv_async.runtime.executors.thread import Abandoned, report_cancelled
from openenv_async.runtime.host import Host
from openenv_async.tracing import await_under

logger = logging.getLogger("openenv_async")

LATE_S = 0.3
"""Seconds that a coroutine has to end after its deadline; less than a process that watches its own deadlines may be
late, so that the other sessions in it live on."""

CANCELLED_S = 5.0
"""The same after its caller has gone: nobody waits, and what it tidies up may take its time."""

_LATE: set[asyncio.Task[None]] = set()
"""Closes that wait for a hung call; the loop alone would not keep them."""


class CallCancelled(Exception):
    """`cancel()` stopped the call: nobody waits for its result."""


_DONE = object()
"""What a driver yields when its coroutine has ended."""


class _Driver:
    """Runs coroutines one after the other, each up to its first `await` that waits.

    A coroutine that ends raises StopIteration at whoever sends into it, which costs more than the rest of a small
    call; `yield from` takes its result without.
    """

    __slots__ = ("_generator", "result")

    def __init__(self) -> None:
        self.result: Any = None
        self._generator = self._run()
        self._generator.send(None)

    @types.coroutine
    def _run(self) -> Generator[Any, Any, None]:
        while True:
            coroutine = yield _DONE
            self.result = yield from coroutine

    def send(self, value: Any) -> Any:
        """Begin a coroutine, or go on with it; gives what it waits for, or `_DONE`. Raises what it raises."""
        return self._generator.send(value)

    def throw(self, exc: BaseException) -> Any:
        """Go on with the coroutine by an exception; as `send`."""
        return self._generator.throw(exc)

    def close(self) -> None:
        """Give the coroutine up."""
        self._generator.close()


class _Begun:
    """A coroutine that has run up to its first `await`, for a task to go on with.

    Args:
        driver: has it; gives the call's outcome or, with `warnings`, what the environment's method does.
        first: what it waits for.
        warnings: of a bare method's call.
    """

    def __init__(self, driver: _Driver, first: Any, warnings: tuple[str, ...] | None = None) -> None:
        self._driver, self._first, self.warnings = driver, first, warnings

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._first
        while waits_for is not _DONE:
            try:
                sent = yield waits_for
            except BaseException as exc:  # the task's cancellation, among others, is the coroutine's to see
                waits_for = self._driver.throw(exc)
            else:
                waits_for = self._driver.send(sent)
        return self._driver.result

    def close(self) -> None:
        """Give it up where nobody went on with it, as a cancelled task would."""
        # Whatever the author's code makes of that, SystemExit too: nobody is left to hear of it.
        with contextlib.suppress(BaseException):
            self._driver.throw(asyncio.CancelledError())
        with contextlib.suppress(BaseException):
            self._driver.close()


class InlineExecutor:
    """See `Executor`. A call that passes its deadline is cancelled at its next `await`, and the environment lives.

    Unless the call goes on all the same: then it is closed where it stands, and the session is broken.

    Args:
        host: holds the environment, built already.
        offload: runs the environment's plain `def` methods in a thread, where they cannot be
            cancelled; None runs them on the loop too.
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
        self._begun: _Begun | None = None
        self._within = False
        """Calls come out of another task, which has to step aside."""

    def begin(self, call: Call, task: asyncio.Task[None], context: Context) -> Outcome | None:
        """Do a call here and now, as `task` and in its `context`, if it waits for nothing.

        Most steps of async environments never wait: the task need not be woken for them.
        Gives None where it does wait; the task then goes on with it by `call()`.

        Raises:
            EnvError: as `call`.
        """
        self._task, self._cancelled = task, False
        loop = task.get_loop()
        outer = asyncio.current_task() if self._within else None
        if outer is None:
            try:
                _enter_task(loop, task)
            except RuntimeError:
                if self._within:
                    raise
                # Finding out like this takes some 15 µs, and asking beforehand time too, so it is remembered.
                self._within = True
                return self.begin(call, task, context)
        else:
            _leave_task(loop, outer)
            _enter_task(loop, task)
        try:
            return context.run(self._begin, call)
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)

    def _begin(self, call: Call) -> Outcome | None:
        host, driver = self._host, self._driver
        bare = None if call.trace else host.begin(call)
        coroutine, warnings = (self._whole(call), None) if bare is None else bare
        try:
            first = driver.send(coroutine)
        except BaseException as exc:
            self._driver = _Driver()
            if bare is None:
                raise
            # Nobody can have cancelled what began just now.
            raise host.failed(call, exc) from exc
        if first is not _DONE:
            self._begun = _Begun(driver, first, warnings)
            self._driver = _Driver()
            return None
        result, driver.result = driver.result, None
        outcome: Outcome = result if warnings is None else host.finish(call, result, warnings)
        return outcome

    def _whole(self, call: Call) -> Coroutine[Any, Any, Outcome]:
        whole = self._host.perform(call, self._offload)
        return await_under(call.trace, whole) if call.trace else whole

    async def call(self, call: Call) -> Outcome:
        """See `Executor.call`."""
        if self._task is None:
            self._task = asyncio.current_task()  # the session's: one task makes every call
        work: _Begun | Coroutine[Any, Any, Outcome]
        if self._begun is None:
            self._cancelled = False
            work = self._whole(call)
        else:
            begun, self._begun = self._begun, None
            work = begun if begun.warnings is None else self._host.go_on(call, begun, begun.warnings)
            if self._cancelled and self._task is not None:
                self._task.cancel()  # between the beginning and now
        self._in_flight = True
        bound: Awaitable[Outcome] = leavable(work, self._patience_s)
        try:
            if call.timeout_s is None:
                outcome: Outcome = await bound
                return outcome
            return await self._bounded(bound, call, call.timeout_s)
        except LeftBehind:
            raise self._left_behind(call) from None
        except asyncio.CancelledError:
            # Of the call alone; whoever cancels the session's task as well wants all of it to end.
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
        """Give what the caller hears of a call that swallowed its cancellation."""
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
                raise Abandoned.report(call, self._session_id) from None
            raise report_cancelled(call, timeout_s, self._session_id) from None

    @property
    def _is_offloaded(self) -> bool:
        return self._offload is not None and self._offload.busy

    def cancel(self) -> bool:
        """See `Executor.cancel`."""
        if self._is_offloaded:
            return False
        if self._begun is not None:
            self._cancelled = True
        elif self._task is not None and self._in_flight and not self._cancelled:
            self._cancelled = True
            self._task.cancel()
        return True

    async def aclose(self) -> None:
        """See `Executor.aclose`."""
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
        assert self._offload is not None  # aclose() took care
        await self._offload.landed()
        await self._close()
