"""Executor in a child process, which one session has to itself or a few sessions share.

This is the server's side: a session in a `runtime.processes.handle.Process`. A call is one message there and one back,
with the payload's bytes unchanged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial

import msgspec

from openenv_async.environment import Execution
from openenv_async.errors import EnvironmentCrashed, FactoryError, StepTimeout
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.current_session import about
from openenv_async.runtime.executors.base import CALLBACK, TASK, Begin, Executor, OnOutcome, Pending
from openenv_async.runtime.processes import messages
from openenv_async.runtime.processes.handle import Process, ProcessUser
from openenv_async.runtime.processes.messages import ChildReply, Facts, Op, Opening, ReplyKind

logger = logging.getLogger("openenv_async")

BACK_IN_S = 0.75
"""Seconds that a process with deadlines of its own may be late before it is killed."""

_LATE: set[asyncio.Task[None]] = set()
"""Closes that wait for a late call; the event loop alone would not keep them alive."""


class NeverBegan(Exception):
    """The process ended before it began to build the environment, so that another one can be used."""


class ProcessExecutor(Executor, ProcessUser):
    """Makes calls in a child process. A plain call that passes its deadline ends the process; a coroutine is cancelled.

    Args:
        process: where the session is.
        number: its number.
        session_id: for the log.
        released: called with the process when its place is free.
        alone: no other session is in the process, so that it ends with this one.
    """

    execution: Execution = "process"

    def __init__(
        self,
        process: Process,
        number: int,
        session_id: str,
        released: Callable[[Process], Awaitable[None]],
        *,
        alone: bool,
    ) -> None:
        self.pid = process.pid
        self.step_timeout_s: float | None = None
        self._process, self._number, self._session_id, self._released = process, number, session_id, released
        self._alone = alone
        self._loop = asyncio.get_running_loop()
        self._facts = Facts(is_async=False, step_timeout_s=None)
        self._rid = 0
        self._flight = 0
        """The request in flight; 0: none."""
        self._waiter: OnOutcome | None = None
        """Receives its outcome."""
        self._on_outcome: OnOutcome | None = None
        self._begun = False
        self._opened: asyncio.Future[Facts] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._closing: asyncio.Task[None] | None = None
        self._close_timeout_s = 0.0
        process.users[number] = self

    async def open(self, opening: Opening, factory_name: str, close_timeout_s: float) -> None:
        """Build the environment; when that fails, nothing of it is left.

        Raises:
            FactoryError: the factory raised, took longer than the opening says, or ended its process.
            NeverBegan: the process ended before it came to that.
        """
        self._close_timeout_s = close_timeout_s
        limit_s = opening.create_timeout_s
        if limit_s is not None and not self._alone:
            limit_s += BACK_IN_S
        self._process.send(messages.request(Op.OPEN, self._number, 0, opening))
        try:
            async with asyncio.timeout(limit_s):
                self._facts = await self._opened
            self.step_timeout_s = self._facts.step_timeout_s
        except TimeoutError:
            self._process.kill("its factory took too long")
            await self.aclose()
            text = f"Environment factory '{factory_name}' did not finish within {opening.create_timeout_s:g} s."
            raise FactoryError(text, factory_name=factory_name) from None
        except EnvironmentCrashed as crash:
            await self.aclose()
            if not self._begun:
                raise NeverBegan from None
            text = f"Environment factory '{factory_name}' ended its process: {crash.message}"
            raise FactoryError(text, factory_name=factory_name, **crash.details) from None
        except asyncio.CancelledError:
            self._leave_behind()
            raise
        except BaseException:
            await self.aclose()
            raise

    def bind(self, task: asyncio.Task[None], context: Context, on_outcome: OnOutcome) -> Begin:
        self._on_outcome = on_outcome
        return self._begin

    def _begin(self, call: Call) -> Pending:
        if call.timeout_s is not None:
            return TASK
        self._send(call, self._on_outcome)
        return CALLBACK

    async def call(self, call: Call) -> Outcome:
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._send(call, partial(_resolve, future))
        if call.timeout_s is None:
            return await future
        late_s = BACK_IN_S if self._facts.is_async or not self._alone else 0.0
        timer = self._loop.call_later(call.timeout_s + late_s, self._hung, call, self._rid)
        try:
            return await future
        finally:
            timer.cancel()

    def _send(self, call: Call, waiter: OnOutcome | None) -> None:
        if self._process.crash is not None:
            raise self._process.crash
        self._rid += 1
        self._flight, self._waiter = self._rid, waiter
        self._process.send(messages.call_request(call, self._number, self._rid))

    def _end(self, outcome: Outcome | BaseException) -> None:
        """Pass on the outcome of the call in flight, once."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter(outcome)

    def _hung(self, call: Call, rid: int) -> None:
        logger.warning(
            "%s() of session %s passed its deadline of %g s; process %d is killed",
            call.kind,
            self._session_id,
            call.timeout_s,
            self._process.pid,
            extra=about(self._session_id, event="deadline", call=call.kind, timeout_s=call.timeout_s),
        )
        # Told to the sessions that share it, which are not to learn each other's ids.
        self._process.kill(f"a {call.kind}() in it passed its deadline")
        if rid == self._rid:
            self._end(
                StepTimeout(
                    f"{call.kind}() did not finish within {call.timeout_s:g} s; its process was killed, "
                    "so the session is broken: call reset() for a fresh environment",
                    timeout_s=call.timeout_s,
                    session_usable=False,
                )
            )

    def cancel(self) -> bool:
        # Only a coroutine can be stopped.
        if not self._facts.is_async:
            return False
        if self._flight:
            self._process.send(messages.request(Op.CANCEL, self._number, self._flight))
        return True

    def leave(self) -> None:
        # A call that cannot be stopped has as long as a close may take; then its process is killed.
        self.cancel()
        if self._flight:
            self._loop.call_later(self._close_timeout_s, self._left, self._flight)

    def _left(self, flight: int) -> None:
        if self._flight != flight:
            return
        self._give_up()
        if not self._process.dying:
            # Others live in the process: only the session ends, and frees its slot.
            text = f"a call of session {self._session_id} hung when its client had gone"
            self._end(StepTimeout(text, timeout_s=None, session_usable=False))

    async def aclose(self) -> None:
        # Also ends the process, unless other sessions are in it; when this is cancelled, by killing it.
        if self._flight and not self._facts.is_async and self._process.crash is None and not self._process.dying:
            self._leave_behind()
            return
        try:
            await asyncio.shield(self._close_once())
        except asyncio.CancelledError:
            self._give_up()
            raise

    def _close_once(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name=f"openenv close {self._session_id}")
            _LATE.add(self._closing)
            self._closing.add_done_callback(_LATE.discard)
        return self._closing

    async def _close(self) -> None:
        process = self._process
        if process.crash is None:
            self.cancel()
            process.send(messages.request(Op.CLOSE, self._number))
            await asyncio.wait([self._closed, process.exited], return_when=asyncio.FIRST_COMPLETED)
        if not self._alone and process.tainted and len(process.users) == 1:
            process.kill()
        if self._alone or process.dying:
            await process.ended()
        process.users.pop(self._number, None)
        await self._released(process)

    def _leave_behind(self) -> None:
        """Let the call in flight end, and close then; but not for ever."""
        self._close_once()
        self._loop.call_later(self._close_timeout_s, self._give_up)

    def _give_up(self) -> None:
        if self._closing is not None and self._closing.done():
            return
        if self._alone or len(self._process.users) <= 1:
            self._process.kill("its environment did not close in time")
        else:
            # It ends when the others have.
            self._process.tainted = True

    def heard(self, reply: ChildReply) -> None:
        kind = reply.kind
        if kind == messages.OUTCOME or (kind == messages.FAILED and reply.rid):
            if reply.rid != self._flight:
                return
            self._flight = 0
            self._end(messages.outcome_of(reply) if kind == messages.OUTCOME else self._error_of(reply))
        elif kind == ReplyKind.OPENED:
            _settle(self._opened, msgspec.msgpack.decode(reply.payload, type=Facts))
        elif kind == ReplyKind.BEGUN:
            self._begun = True
        elif kind == ReplyKind.CLOSED:
            _settle(self._closed, None)
        elif not self._opened.done():
            self._opened.set_exception(messages.error_of(reply))

    def _error_of(self, reply: ChildReply) -> BaseException:
        error = messages.error_of(reply)
        if isinstance(error, StepTimeout) and not error.session_usable:
            # Its thread is abandoned in there.
            self._process.tainted = True
        return error

    def crashed(self) -> None:
        crash = self._process.crash
        assert crash is not None
        if self._closing is None and not self._process.dying:
            self._process.unexpected = True
            fields = about(self._session_id, event="environment_crashed", **crash.details)
            logger.warning("session %s: %s", self._session_id, crash.message, extra=fields)
        self._flight = 0
        if not self._opened.done():
            self._opened.set_exception(crash)
            # Retrieved here, because the caller may have gone.
            self._opened.exception()
        self._end(crash)


def _settle(future: asyncio.Future[Facts] | asyncio.Future[None], value: Facts | None) -> None:
    if not future.done():
        future.set_result(value)  # type: ignore[arg-type]


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
        # Retrieved here, because the caller may have gone.
        future.exception()
    else:
        future.set_result(outcome)
