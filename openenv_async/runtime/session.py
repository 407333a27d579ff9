"""One session: a task that owns one environment, from its first call to its closed environment.

Owns the queue of requests, the state (`protocol.session_states`) and the order of things.
Does not know the wire: whoever opened the session is its `Sink`. `registry` gives it
a slot and its task; an `Executor` holds the environment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from msgspec import structs

from openenv_async.errors import EnvironmentCrashed, StepTimeout
from openenv_async.limits import Limits
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.session_states import CALL, DONE, Move, SessionState, State
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.current_session import SESSION, SESSIONS
from openenv_async.runtime.executors.base import Executor, Landing
from openenv_async.runtime.executors.inline import CallCancelled
from openenv_async.runtime.session_observer import Sink, Watch
from openenv_async.runtime.session_stats import QUICK_S, Tally


class Resumable:
    """The half of `Session` that is not about playing."""

    __slots__ = (
        "_aside",
        "_closing",
        "_in_flight",
        "_kept",
        "_queue",
        "_retiring",
        "_rid",
        "doing",
        "execution",
        "newest",
        "pid",
        "sink",
        "state",
        "token",
        "trace",
    )

    def __init__(self, sink: Sink) -> None:
        self.state = SessionState()
        self.sink = sink
        """Whoever hears of results now; another one after a resume."""
        self.token = ""
        """What a client must present to go on with it over another connection; empty: it ends with its own."""
        self.trace = ""
        """The W3C `traceparent` of whoever asked for it."""
        self.newest = 0
        """The highest request id that a wire with ids has submitted."""
        self._queue: deque[tuple[int, Call | Outcome | BaseException]] = deque()
        self._aside: list[tuple[int, Call | Outcome | BaseException]] = []
        self._rid = 0
        """Of the call in flight, or the last one."""
        self._kept: Outcome | BaseException | None = None
        """Its outcome, until it is acknowledged."""
        self._in_flight = False
        """A call was in flight when the connection was lost, and is still."""
        self._closing = False
        self._retiring: BaseException | None = None
        """Why it ends with its episode."""
        self.doing = ""
        """What its newest call asked for; kept for those who look on alone."""
        self.execution: str | None = None
        """Where its environment runs, once it is built."""
        self.pid: int | None = None
        """The process that its environment lives in, if that is not the server's own."""

    def _wake(self) -> None:
        """Have the session's task look at its queue."""
        raise NotImplementedError

    @property
    def working(self) -> bool:
        """A call is in flight, whoever is there to hear its outcome."""
        return self.state.now is State.BUSY or (self.state.now is State.DETACHED and self._in_flight)

    @property
    def is_leaving(self) -> bool:
        """Nothing but its environment's `close()` is between it and its slot."""
        now = self.state.now
        return now is State.CLOSED or (self._closing and not self._in_flight and now in (State.READY, State.DETACHED))

    @property
    def resumable(self) -> bool:
        """It may go on over another connection."""
        ending = self._closing or self._retiring is not None
        return bool(self.token) and not ending and self.state.now in (State.READY, State.BUSY, State.DETACHED)

    @property
    def unused(self) -> bool:
        """Nothing has been asked of it yet, and it may go on over another connection."""
        return self.newest == 0 and (self.resumable or (self.state.now is State.OPENING and not self._closing))

    def outcome_of(self, rid: int) -> Outcome | BaseException | None:
        """Give the outcome of a request again; None when it is still to come, was acknowledged or cancelled."""
        return self._kept if rid == self._rid else None

    def awaits(self, rid: int) -> bool:
        """Say whether the outcome of the newest request is still to come."""
        return rid != self._rid or self.state.now is State.BUSY

    def holds(self, rid: int) -> bool:
        """Say whether request `rid` is queued or being played, and its payload is held for it."""
        if rid == self._rid:
            return self.state.now is State.BUSY or (self.state.now is State.DETACHED and self._in_flight)
        return any(rid == queued for queued, _ in (*self._queue, *self._aside))

    @property
    def in_flight(self) -> int | None:
        """The id of the request that is being played; None: none is."""
        return self._rid if self.holds(self._rid) else None

    def acknowledge(self, rid: int) -> None:
        """The outcome of `rid` has arrived and will not be asked for again."""
        if rid == self._rid:
            self._kept = None

    def detach(self, sink: Sink) -> None:
        """Its connection is lost: the call in flight goes on, what is queued waits for `attach`.

        Args:
            sink: hears of what happens meanwhile; outcomes are kept for `outcome_of` besides.
        """
        self._in_flight = self.state.now is State.BUSY
        self.state.move(Move.LOSE)
        self.sink = sink
        self._aside = list(self._queue)
        self._queue.clear()

    def attach(self, sink: Sink) -> None:
        """Go on with another connection, after `detach` or instead of the one that it still has."""
        if self.state.now is State.DETACHED:
            self.state.move(Move.RESUME_BUSY if self._in_flight else Move.RESUME)
            self._queue.extend(self._aside)
            self._aside.clear()
            self._wake()
        self.sink = sink


Begin = Callable[[Call, "asyncio.Task[None]", Context], Outcome | None]
Launch = Callable[[Call, Landing], None]


class AtOnce(Resumable):
    """The half of `Session` that makes calls without its task."""

    __slots__ = (
        "_awaited",
        "_begin",
        "_begun",
        "_context",
        "_delivering",
        "_flight",
        "_launch",
        "began_at",
        "idle",
        "idle_timeout_s",
        "step_timeout_s",
        "tally",
        "task",
        "was_broken",
        "watch",
    )

    def __init__(self, sink: Sink, idle_timeout_s: float | None, step_timeout_s: float | None) -> None:
        super().__init__(sink)
        self.watch: Watch | None = None
        """Who hears of its calls; None: nobody."""
        self.began_at = 0.0
        """When its newest call began, by `time.perf_counter`."""
        self.tally = Tally()
        self.idle_timeout_s = idle_timeout_s
        """Seconds with nothing in flight and nothing asked, after which the session ends; None: never."""
        self.step_timeout_s = step_timeout_s
        """Seconds that a reset or step may take when its caller does not say; None: any time."""
        self.was_broken = False
        """The environment hung or crashed and was given up."""
        self.task: asyncio.Task[None] | None = None
        self.idle = False
        """The task waits for a request."""
        self._context = copy_context()
        self._begin: Begin | None = None
        self._begun: tuple[int, Call] | None = None
        """A call for the task to go on with."""
        self._launch: Launch | None = None
        self._flight: tuple[int, Call] | None = None
        """A call that is made elsewhere, and whose outcome comes to `_land`."""
        self._awaited = False
        """The task has something to do once that call has ended."""
        self._delivering: Awaitable[None] | None = None

    def submit(self, rid: int, call: Call) -> None:
        """Take a request; its result goes to the sink's `deliver`."""
        if self.idle and self._begin is not None:
            self._start(rid, call)
        elif self.idle and self._launch is not None and call.timeout_s is None and self.step_timeout_s is None:
            self._send(rid, call)
        else:
            self._queue_up(rid, call)

    def _queue_up(self, rid: int, call: Call) -> None:
        self._queue.append((rid, call))
        self._wake()

    def _by_itself(self, executor: Executor) -> None:
        """Find out what the executor can do without the task, which alone sees to it that an idle session ends."""
        if self.idle_timeout_s is None:
            self._begin = getattr(executor, "begin", None)
            self._launch = getattr(executor, "launch", None)

    def _not_by_itself(self) -> None:
        self._begin = self._launch = None

    def _enter(self, rid: int, call: Call) -> None:
        """A call begins."""
        self._rid = rid
        self._kept = None
        self.state.move(CALL)
        self.began_at, self.doing = time.perf_counter(), call.kind

    def _limited(self, call: Call) -> Call:
        if call.timeout_s is None and self.step_timeout_s is not None:
            return structs.replace(call, timeout_s=self.step_timeout_s)
        return call

    def _start(self, rid: int, call: Call) -> None:
        """Begin a coroutine; if it waits, the task goes on with it."""
        assert self._begin is not None and self.task is not None  # submit() took care
        # As _enter, which costs a call.
        self._rid = rid
        self._kept = None
        self.state.move(CALL)
        self.began_at, self.doing = time.perf_counter(), call.kind
        self.idle = False
        if self.step_timeout_s is not None:
            call = self._limited(call)
        outcome: Outcome | BaseException | None
        try:
            outcome = self._begin(call, self.task, self._context)
        except Exception as exc:  # as in _play
            outcome = exc
        if outcome is None:
            self._begun = (rid, call)
            self._wake()
        else:
            self._close_call(rid, call, outcome)

    def _send(self, rid: int, call: Call) -> None:
        """Have a call made elsewhere."""
        assert self._launch is not None  # submit() took care
        self._enter(rid, call)
        self.idle = False
        self._flight = (rid, call)
        try:
            self._launch(call, self._land)
        except Exception as exc:  # as in _play
            self._land(exc)

    def _land(self, outcome: Outcome | BaseException) -> None:
        """Take the outcome of the call that was made elsewhere."""
        if self._flight is not None:  # else the session has ended meanwhile
            (rid, call), self._flight = self._flight, None
            self._close_call(rid, call, outcome)

    def _close_call(self, rid: int, call: Call, outcome: Outcome | BaseException) -> None:
        self._delivering = self._end_call(rid, call, outcome)
        if self._delivering is not None or self._queue or self._closing or self.was_broken or self._awaited:
            self._awaited = False
            self._wake()
        else:
            self.idle = True

    def _end_call(self, rid: int, call: Call, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """Take a call's outcome to the state that it left and to the sink."""
        raise NotImplementedError


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
