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
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from openenv_async.errors import EnvironmentCrashed, StepTimeout
from openenv_async.limits import Limits
from openenv_async.protocol.batches import too_large
from openenv_async.protocol.states import DONE, Move, State
from openenv_async.runtime.at_once import AtOnce
from openenv_async.runtime.atwork import SESSION, SESSIONS
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.executors.base import Executor
from openenv_async.runtime.executors.inline import CallCancelled
from openenv_async.runtime.sink import Sink
from openenv_async.runtime.tally import QUICK_S

logger = logging.getLogger("openenv_async")


class Session(AtOnce):
    """One client's session. `submit()` and `close()` it; its task does the rest."""

    __slots__ = (
        "__weakref__",
        "_cancelled",
        "_executor",
        "_waker",
        "created_at",
        "episodes",
        "id",
        "limits",
        "reason",
        "steps",
    )

    def __init__(self, session_id: str, limits: Limits, sink: Sink, idle_timeout_s: float | None = None) -> None:
        super().__init__(sink, idle_timeout_s, limits.step_timeout_s)
        self.id = session_id
        self.limits = limits
        self.created_at = time.time()
        self.episodes = 0
        self.steps = 0
        self.reason: BaseException | None = None
        self._waker: asyncio.Future[None] | None = None
        self._executor: Executor | None = None
        self._cancelled: set[int] = set()

    def start(self, life: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Make the session's task, in the session's context."""
        SESSIONS[self.id] = self
        self._context.run(SESSION.set, self.id)
        self.task = asyncio.get_running_loop().create_task(
            life, name=f"openenv session {self.id}", context=self._context
        )
        return self.task

    @property
    def queued(self) -> int:
        """Requests that wait behind the one in flight."""
        return len(self._queue)

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
        self._aside.clear()
        if self.state.now is State.OPENING and self.task is not None:
            self.task.cancel()
        self._wake()

    def retire(self, reason: BaseException, idle_s: float) -> None:
        """End the session with its episode: at the next reset, which is refused, or when nothing is asked for a while.

        One that has no episode, or no client, ends as by `finish`.

        Args:
            reason: as for `finish`; the reset is refused with it.
            idle_s: seconds.
        """
        unplayed = self.episodes == 0 and not self._queue and self.state.now is State.READY
        if unplayed or self.state.now not in (State.READY, State.BUSY):
            self.finish(reason)
            return
        self._retiring = self.reason = reason
        # No call is begun without the task any longer, which looks at what it is and at the time.
        self._not_by_itself()
        self.idle_timeout_s = idle_s if self.idle_timeout_s is None else min(idle_s, self.idle_timeout_s)
        self._wake()

    def close(self, reason: BaseException | None = None) -> None:
        """End the session; the call in flight is stopped if it can be, and its result goes nowhere. See `finish`."""
        if self.state.now is State.BUSY and self._executor is not None:
            self._cancelled.add(self._rid)
            # A process can be ended with its call, where a thread has to be waited for.
            leave: Callable[[], object] = getattr(self._executor, "leave", self._executor.cancel)
            leave()
        self.finish(reason)

    async def serve(self, executor: Executor) -> None:
        """Play requests until the session is closed, idle for too long, or its environment is given up.

        The caller closes the executor afterwards.
        """
        self._executor = executor
        if executor.step_timeout_s is not None:
            self.step_timeout_s = executor.step_timeout_s
        self.state.move(Move.OPENED)
        self._by_itself(executor)
        if self.watch is not None:
            self.watch.opened(self)
        self.sink.opened(self)
        try:
            await self._play_all(executor)
        finally:
            self._flight = None
            self._not_by_itself()

    async def _play_all(self, executor: Executor) -> None:
        while not self.was_broken:
            if self._flight is not None:
                self._awaited = True
                await self._sleep()
            elif self._delivering is not None:
                delivering, self._delivering = self._delivering, None
                await delivering
            elif self._begun is not None:
                (rid, call), self._begun = self._begun, None
                self._delivering = self._end_call(rid, call, await self._play(executor, call))
            elif not self._queue:
                if self._closing or not await self._next():
                    return
            else:
                self._delivering = await self._take(executor, *self._queue.popleft())

    async def _take(self, executor: Executor, rid: int, call: Call | Outcome | BaseException) -> Awaitable[None] | None:
        if not isinstance(call, Call):
            return self.sink.deliver(self, rid, call)
        if self._retiring is not None and call.kind == "reset":
            self.finish(self._retiring)
            return self.sink.deliver(self, rid, self._retiring)
        self._enter(rid, call)
        call = self._limited(call)
        return self._end_call(rid, call, await self._play(executor, call))

    async def _play(self, executor: Executor, call: Call) -> Outcome | BaseException:
        try:
            return await executor.call(call)
        except Exception as exc:  # the sink tells the caller; a bug of ours is logged on its way to the wire
            return exc

    def _end_call(self, rid: int, call: Call, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        self._in_flight = False
        tally, watch = self.tally, self.watch
        tally.last_s = latency_s = time.perf_counter() - self.began_at
        if type(outcome) is Outcome:
            size = len(outcome.data)
            if size > self.limits.max_message_bytes:
                outcome = too_large(size, self.limits.max_message_bytes)
                tally.errors += 1
            elif call.kind == "step":
                self.steps += 1
                tally.latencies_s.append(latency_s)
                if latency_s < QUICK_S:
                    tally.quick_s += latency_s
                    watch = watch if watch is None or watch.hears_quick else None
            elif call.kind == "reset":
                self.episodes += 1
            self.state.move(DONE)
        else:
            tally.errors += 1
            self._settle(outcome)
        if watch is not None:
            watch.called(self, rid, call, outcome, latency_s)
        if self._cancelled and rid in self._cancelled:
            self._cancelled.discard(rid)
            return None
        if isinstance(outcome, CallCancelled):
            return None
        if self.token:
            self._kept = outcome
        return self.sink.deliver(self, rid, outcome)

    def _settle(self, outcome: Outcome | BaseException) -> None:
        """Move to the state that the call left."""
        hung = isinstance(outcome, StepTimeout) and not outcome.details.get("session_usable")
        if hung or isinstance(outcome, EnvironmentCrashed):
            self.state.move(Move.BREAK)
            self.was_broken = True
        else:
            self.state.move(Move.DONE)

    def _wake(self) -> None:
        self.idle = False
        waker = self._waker
        if waker is not None and not waker.done():
            waker.set_result(None)

    async def _sleep(self) -> None:
        """Wait until `_wake`."""
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waker = waker
        await waker

    async def _next(self) -> bool:
        """Wait for a request; False when the session has been idle for too long."""
        self.idle = True
        try:
            if self.idle_timeout_s is None:
                await self._sleep()
                return True
            async with asyncio.timeout(self.idle_timeout_s):
                await self._sleep()
        except TimeoutError:
            # A request that came in the very turn in which the time ran out is heard.
            return bool(self._queue)
        finally:
            # Also when the task is cancelled: no call is begun in a session that ends.
            self.idle = False
        return True
