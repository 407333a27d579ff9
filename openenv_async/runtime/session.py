"""One session: a task that owns one environment, from its first call to its closed environment.

Owns the queue of requests, the state (`protocol.states`) and the order of things.
Does not know the wire: whoever opened the session is its `Sink`. `registry` gives it
a slot and its task; an `Executor` holds the environment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable
from typing import Protocol

from openenv_async.errors import StepTimeout
from openenv_async.limits import Limits
from openenv_async.protocol.batches import too_large
from openenv_async.protocol.states import Move, SessionState, State
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.inline import CallCancelled

logger = logging.getLogger("openenv_async")


class Sink(Protocol):
    """Where a session's results go: one connection, or one HTTP request."""

    def opened(self, session: Session) -> None:
        """The environment is built."""

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """Request `rid` has ended. Must not raise; may give something to wait for before the next call."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """The session is over: its environment is closed and its slot is free. Must not raise."""


class Session:
    """One client's session. `submit()` and `close()` it; its task does the rest."""

    __slots__ = (
        "_cancelled",
        "_closing",
        "_executor",
        "_queue",
        "_rid",
        "_sink",
        "_waker",
        "created_at",
        "episodes",
        "id",
        "idle_timeout_s",
        "limits",
        "reason",
        "state",
        "steps",
        "step_timeout_s",
        "task",
        "was_broken",
    )

    def __init__(self, session_id: str, limits: Limits, sink: Sink, idle_timeout_s: float | None = None) -> None:
        self.id = session_id
        self.limits = limits
        self.state = SessionState()
        self.created_at = time.time()
        self.episodes = 0
        self.steps = 0
        self.idle_timeout_s = idle_timeout_s
        """Seconds with nothing in flight and nothing asked, after which the session ends; None: never."""
        self.step_timeout_s: float | None = limits.step_timeout_s
        """Seconds that a reset or step may take when its caller does not say; None: any time."""
        self.was_broken = False
        """The environment hung and was given up."""
        self.reason: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self._sink = sink
        self._queue: deque[tuple[int, Call | Outcome | BaseException]] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._executor: Executor | None = None
        self._rid = 0
        self._cancelled: set[int] = set()
        self._closing = False

    @property
    def queued(self) -> int:
        """Requests that wait behind the one in flight."""
        return len(self._queue)

    def holds(self, rid: int) -> bool:
        """Say whether request `rid` waits here or is being played, and its payload with it."""
        if rid == self._rid:
            return self.state.now not in (State.READY, State.BROKEN, State.CLOSED)
        return any(rid == queued for queued, _ in self._queue)

    def submit(self, rid: int, call: Call) -> None:
        """Queue a request; its result goes to the sink's `deliver`."""
        self._queue.append((rid, call))
        self._wake()

    def answer(self, rid: int, outcome: Outcome | BaseException) -> None:
        """Queue an outcome that takes no environment, e.g. a refusal, so that it is delivered in its turn."""
        self._queue.append((rid, outcome))
        self._wake()

    def cancel(self, rid: int) -> None:
        """Nobody waits for `rid` any longer: stop it if it can be stopped, and deliver nothing."""
        if rid == self._rid and self._executor is not None and self.state.now is State.BUSY:
            self._cancelled.add(rid)
            self._executor.cancel()
        elif any(rid == queued for queued, _ in self._queue):
            self._queue = deque(item for item in self._queue if item[0] != rid)

    def finish(self, reason: BaseException | None = None) -> None:
        """End the session when the call in flight has ended; what is queued is not begun.

        Args:
            reason: told to the sink as the session ends, unless a worse one comes up.
        """
        self._closing = True
        self.reason = reason
        self._queue.clear()
        if self.state.now is State.OPENING and self.task is not None:
            self.task.cancel()
        self._wake()

    def close(self) -> None:
        """End the session; the call in flight is stopped if it can be, and its result goes nowhere."""
        if self.state.now is State.BUSY and self._executor is not None:
            self._cancelled.add(self._rid)
            self._executor.cancel()
        self.finish()

    async def serve(self, executor: Executor) -> None:
        """Play requests until the session is closed, idle for too long, or its environment is given up.

        The caller closes the executor afterwards.
        """
        self._executor = executor
        if executor.step_timeout_s is not None:
            self.step_timeout_s = executor.step_timeout_s
        self.state.move(Move.OPENED)
        self._sink.opened(self)
        while True:
            if not self._queue:
                if self._closing or not await self._next():
                    return
                continue
            rid, call = self._queue.popleft()
            outcome: Outcome | BaseException
            if isinstance(call, Call):
                self._rid = rid
                self.state.move(Move.CALL)
                outcome = await self._play(executor, call)
                self._settle(outcome)
            else:
                outcome = call
            if rid not in self._cancelled and not isinstance(outcome, CallCancelled):
                waiting = self._sink.deliver(self, rid, outcome)
                if waiting is not None:
                    await waiting
            self._cancelled.discard(rid)
            if self.was_broken:
                return

    async def _play(self, executor: Executor, call: Call) -> Outcome | BaseException:
        if call.timeout_s is None and self.step_timeout_s is not None:
            call = call._replace(timeout_s=self.step_timeout_s)
        try:
            outcome = await executor.call(call)
            size = len(outcome.data)
            if size > self.limits.max_message_bytes:
                return too_large(size, self.limits.max_message_bytes)
        except Exception as exc:  # the sink tells the caller; a bug of ours is logged on its way to the wire
            return exc
        if call.kind == "step":
            self.steps += 1
        elif call.kind == "reset":
            self.episodes += 1
        return outcome

    def _settle(self, outcome: Outcome | BaseException) -> None:
        """Move to the state that the call left."""
        if isinstance(outcome, StepTimeout) and not outcome.details.get("session_usable"):
            self.state.move(Move.BREAK)
            self.was_broken = True
        else:
            self.state.move(Move.DONE)

    def _wake(self) -> None:
        waker = self._waker
        if waker is not None and not waker.done():
            waker.set_result(None)

    async def _next(self) -> bool:
        """Wait for a request; False when the session has been idle for too long."""
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waker = waker
        if self.idle_timeout_s is None:
            await waker
            return True
        try:
            async with asyncio.timeout(self.idle_timeout_s):
                await waker
        except TimeoutError:
            # A request that came in the very turn in which the time ran out is heard.
            return bool(self._queue)
        return True
