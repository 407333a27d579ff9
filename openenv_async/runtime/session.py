"""One session: a task that owns one environment, from its first call to its closed environment.

Owns the queue of requests, the state (`protocol.session_states`) and the order of calls. Does not know the wire:
results go to the `Sink` that opened the session, and `SessionObserver`s are told of everything. `registry` provides
the slot and runs the task; an `Executor` holds the environment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from enum import IntEnum, auto
from typing import Any, Protocol

from msgspec import structs

from openenv_async.errors import EnvironmentCrashed, StepTimeout
from openenv_async.limits import Limits
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.session_states import CALL, DONE, MOVES, Move, SessionState, State
from openenv_async.runtime.calls import Call, CallCancelled, Outcome
from openenv_async.runtime.current_session import SESSION, SESSIONS
from openenv_async.runtime.executors.base import CALLBACK, TASK, Begin, Executor
from openenv_async.runtime.session_stats import QUICK_S, SessionStats

Request = tuple[int, Call | Outcome | BaseException]
"""A request's id and the call; or the answer to one that takes no environment."""


class Sink(Protocol):
    """Receives a session's results: a connection, or an HTTP request."""

    wire: str | None = None
    """`native`, `json` or `http`; None: not known."""

    peer: str | None = None
    """The client's address; None: not known."""

    def opened(self, session: Session) -> None:
        """The environment is built."""

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """Request `rid` has ended. Must not raise; may return something to await before the next call."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """The session is over: its environment is closed and its slot is free. Must not raise."""


class SessionObserver:
    """Observes the sessions of one server: metrics, logs, recordings, traces. Subclasses override what they need.

    Called on the server's event loop, between one call and the next: a method must neither
    wait nor raise.
    """

    wants_quick = True
    """Call `called` also for successful steps shorter than `session_stats.QUICK_S`. They are nearly all there are, and
    what `SessionStats` has of them may be enough."""

    def waiting(self, session: Session) -> None:
        """A session was requested, and waits for a slot or for its environment to be built."""

    def opened(self, session: Session) -> None:
        """Its environment is built."""

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        """A call has ended; its outcome is about to be delivered, unless its caller cancelled it.

        Args:
            session: whose.
            rid: the id of the request, as the client knows it.
            call: what was asked.
            outcome: what came of it, `CallCancelled` and errors included.
            latency_s: seconds from its turn to its end, without the time in the session's queue.
        """

    def detached(self, session: Session) -> None:
        """Its connection is lost, and it waits for its client."""

    def attached(self, session: Session) -> None:
        """Its client has resumed it over another connection."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """It is over: its environment is closed, or was never built."""


class Ending(IntEnum):
    """When a session ends, once that is decided."""

    NOT = auto()
    """It goes on."""
    AFTER_EPISODE = auto()
    """At the next reset, which is refused."""
    AFTER_CALL = auto()
    """When the call in flight has ended."""


GOES_ON = Ending.NOT


class CallInFlight:
    """The call in flight or, between calls, what is left of the last one. Each call of a session fills it anew."""

    __slots__ = ("began_at", "call", "cancelled", "in_callback", "kept", "kind", "rid")

    def __init__(self) -> None:
        self.rid = 0
        self.call: Call | None = None
        """None: it has ended."""
        self.kind = ""
        self.began_at = 0.0
        """By `time.perf_counter`; 0: there was no call yet."""
        self.in_callback = False
        """The executor passes the outcome to a callback, so that the session's task has nothing to await."""
        self.cancelled = False
        """The outcome goes to no caller."""
        self.kept: Outcome | BaseException | None = None
        """The outcome, until the client acknowledges it."""


class Session:
    """One client's session. `submit()` and `close()` it; its task does the rest.

    `submit` begins a call in the turn of the event loop in which it arrives, unless the session is busy. The task
    awaits the calls that have to be awaited and begins those that were queued. Each call ends in `_end`.
    """

    __slots__ = (
        "__weakref__",
        "_aside",
        "_begin",
        "_context",
        "_delivery",
        "_ending",
        "_executor",
        "_idle_from",
        "_idle_timeout_s",
        "_idle_timer",
        "_waker",
        "created_at",
        "episodes",
        "execution",
        "flight",
        "id",
        "idle",
        "idle_since",
        "limits",
        "newest",
        "observer",
        "pid",
        "queue",
        "reason",
        "sink",
        "state",
        "stats",
        "step_timeout_s",
        "steps",
        "task",
        "token",
        "trace",
        "was_broken",
    )

    def __init__(self, session_id: str, limits: Limits, sink: Sink, idle_timeout_s: float | None = None) -> None:
        self.id = session_id
        self.limits = limits
        self.sink = sink
        """Receives results; another one after a resume."""
        self.observer: SessionObserver | None = None
        self.state = SessionState()
        self.flight = CallInFlight()
        self.queue: deque[Request] = deque()
        """Requests that wait behind the call in flight."""
        self._aside: list[Request] = []
        """The queue of a session without a connection."""
        self.idle = False
        """Nothing is in flight, queued or to be delivered, and the task sleeps: a call can begin at once."""
        self.step_timeout_s = limits.step_timeout_s
        """Seconds that a reset or step may take when its caller sets no deadline; None: any time."""
        self.token = ""
        """What a client presents to resume over another connection; empty: the session ends with its connection."""
        self.trace = ""
        """The W3C `traceparent` of the client that opened it."""
        self.newest = 0
        """The highest request id that a wire with ids has submitted."""
        self.execution: str | None = None
        """Where its environment runs, once it is built."""
        self.pid: int | None = None
        """The process that its environment lives in, if that is not the server's own."""
        self.created_at = time.time()
        self.idle_since = time.perf_counter()
        """When its last call ended, or it was opened."""
        self.episodes = self.steps = 0
        self.stats = SessionStats()
        self.reason: BaseException | None = None
        """Why it was ended from outside."""
        self.was_broken = False
        """The environment hung or crashed and was given up."""
        self.task: asyncio.Task[None] | None = None
        self._context = copy_context()
        self._executor: Executor | None = None
        self._begin: Begin | None = None
        self._waker: asyncio.Future[None] | None = None
        self._delivery: Awaitable[None] | None = None
        """To be awaited before the next call."""
        self._ending = GOES_ON
        self._idle_timeout_s = idle_timeout_s
        self._idle_from = 0.0
        """The idle time does not count before this moment."""
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int | None:
        """The id of the call in flight, whether its client is connected or not; None: none is."""
        return None if self.flight.call is None else self.flight.rid

    @property
    def is_leaving(self) -> bool:
        """Only the environment's `close()` still keeps its slot."""
        now = self.state.now
        waits = self.flight.call is None and now in (State.READY, State.DETACHED)
        return now is State.CLOSED or (self._ending is Ending.AFTER_CALL and waits)

    @property
    def resumable(self) -> bool:
        """It may go on over another connection."""
        attachable = self.state.now in (State.READY, State.BUSY, State.DETACHED)
        return bool(self.token) and self._ending is GOES_ON and attachable

    @property
    def unused(self) -> bool:
        """Nothing has been asked of it yet, and it may go on over another connection."""
        return self.newest == 0 and (self.resumable or (self.state.now is State.OPENING and self._ending is GOES_ON))

    def outcome_of(self, rid: int) -> Outcome | BaseException | None:
        """Return the outcome of a request again; None when it is still to come, was acknowledged or cancelled."""
        return self.flight.kept if rid == self.flight.rid else None

    def awaits(self, rid: int) -> bool:
        """Return whether the outcome of the newest request is still to come."""
        return rid != self.flight.rid or self.flight.call is not None

    def holds(self, rid: int) -> bool:
        """Return whether request `rid` is queued or in flight, so that its payload is in memory."""
        if rid == self.flight.rid:
            return self.flight.call is not None
        return any(rid == queued for queued, _ in (*self.queue, *self._aside))

    def acknowledge(self, rid: int) -> None:
        """Drop the outcome of `rid`: it has arrived and will not be asked for again."""
        if rid == self.flight.rid:
            self.flight.kept = None

    def start(self, life: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Make the session's task, in the session's context."""
        SESSIONS[self.id] = self
        self._context.run(SESSION.set, self.id)
        self.task = asyncio.get_running_loop().create_task(
            life, name=f"openenv session {self.id}", context=self._context
        )
        return self.task

    def submit(self, rid: int, call: Call, *, in_task: bool = False) -> None:
        """Begin a call, or queue it behind others; its result goes to the sink's `deliver`.

        Args:
            rid: the request's id.
            call: what to do.
            in_task: the session's task submits a call that was queued.
        """
        if not self.idle and not in_task:
            self.queue.append((rid, call))
            self._wake()
            return
        if self.step_timeout_s is not None and call.timeout_s is None:
            call = structs.replace(call, timeout_s=self.step_timeout_s)
        flight = self.flight
        # As `state.move`, which would be another function call.
        self.state.now = MOVES[self.state.now][CALL]
        self.idle = False
        flight.rid, flight.call, flight.kind, flight.kept = rid, call, call.kind, None
        flight.began_at = time.perf_counter()
        if in_task or self._begin is None:
            return
        try:
            outcome = self._begin(call)
        except Exception as exc:  # as in _serve
            self._end(exc)
            return
        if outcome is CALLBACK:
            flight.in_callback = True
        elif outcome is TASK:
            self._wake()
        else:
            self._end(outcome)

    def answer(self, rid: int, outcome: Outcome | BaseException) -> None:
        """Queue an outcome that takes no environment, e.g. a refusal, so that it is delivered in its turn."""
        self.queue.append((rid, outcome))
        self._wake()

    def cancel(self, rid: int) -> None:
        """Stop request `rid` if it can be stopped, and deliver nothing for it: its caller has gone."""
        if rid == self.flight.rid and self._executor is not None and self.state.now is State.BUSY:
            self.flight.cancelled = True
            self._executor.cancel()
        elif any(rid == queued for queued, _ in self.queue):
            self.queue = deque(item for item in self.queue if item[0] != rid)

    def detach(self, sink: Sink) -> None:
        """Go on without a connection: the call in flight continues, what is queued waits for `attach`.

        Args:
            sink: is told of what happens meanwhile; outcomes are kept for `outcome_of` besides.
        """
        self.state.move(Move.LOSE)
        self.sink = sink
        self._aside = list(self.queue)
        self.queue.clear()

    def attach(self, sink: Sink) -> None:
        """Go on over another connection, after `detach` or in place of the connection that it still has."""
        if self.state.now is State.DETACHED:
            self.state.move(Move.RESUME if self.flight.call is None else Move.RESUME_BUSY)
            self.queue.extend(self._aside)
            self._aside.clear()
            self._wake()
        self.sink = sink

    def finish(self, reason: BaseException | None = None) -> None:
        """End the session when the call in flight has ended; what is queued is not begun.

        Args:
            reason: passed to the sink as the session ends, unless another error ends it.
        """
        self._ending = Ending.AFTER_CALL
        self.reason = reason
        self.queue.clear()
        self._aside.clear()
        if self.state.now is State.OPENING and self.task is not None:
            self.task.cancel()
        self._wake()

    def retire(self, reason: BaseException, idle_s: float) -> None:
        """End the session with its episode: at the next reset, which is refused, or when it is idle for some time.

        One that has no episode, or no client, ends as by `finish`.

        Args:
            reason: as for `finish`; the reset is refused with it.
            idle_s: seconds without a request.
        """
        unplayed = self.episodes == 0 and not self.queue and self.state.now is State.READY
        if unplayed or self.state.now not in (State.READY, State.BUSY):
            self.finish(reason)
            return
        self._ending, self.reason = Ending.AFTER_EPISODE, reason
        self.limit_idle(idle_s if self._idle_timeout_s is None else min(idle_s, self._idle_timeout_s))
        self._wake()

    def close(self, reason: BaseException | None = None) -> None:
        """End the session; the call in flight is stopped if it can be, and not delivered. See `finish`."""
        if self.state.now is State.BUSY and self._executor is not None:
            self.flight.cancelled = True
            self._executor.leave()
        self.finish(reason)

    async def serve(self, executor: Executor) -> None:
        """Make calls until the session is closed, idle for too long, or its environment is given up.

        The caller closes the executor afterwards.
        """
        assert self.task is not None  # `start` made the task that runs this
        self._executor = executor
        self._begin = executor.bind(self.task, self._context, self._end)
        if executor.step_timeout_s is not None:
            self.step_timeout_s = executor.step_timeout_s
        self.state.move(Move.OPENED)
        self.idle_since = time.perf_counter()
        self.limit_idle(self._idle_timeout_s)
        if self.observer is not None:
            self.observer.opened(self)
        self.sink.opened(self)
        try:
            await self._serve(executor)
        finally:
            # Also when the task is cancelled: no call begins in a session that ends, and a late outcome is dropped.
            self.idle = False
            self.flight.call = self._begin = self._executor = None
            if self._idle_timer is not None:
                self._idle_timer.cancel()

    async def _serve(self, executor: Executor) -> None:
        flight = self.flight
        while not self.was_broken:
            if self._delivery is not None:
                delivery, self._delivery = self._delivery, None
                await delivery
                self._idle_from = time.perf_counter()
            elif (call := flight.call) is not None and not flight.in_callback:
                try:
                    outcome: Outcome | BaseException = await executor.call(call)
                except Exception as exc:  # the sink tells the caller; a bug of ours is logged on its way to the wire
                    outcome = exc
                self._end(outcome)
            elif flight.call is None and self.queue:
                self._take(*self.queue.popleft())
            elif flight.call is None and (self._ending is Ending.AFTER_CALL or self._idle_left_s() <= 0):
                return
            else:
                self.idle = flight.call is None and self._ending is GOES_ON
                self._waker = asyncio.get_running_loop().create_future()
                await self._waker

    def _take(self, rid: int, item: Call | Outcome | BaseException) -> None:
        if isinstance(item, Call):
            if item.kind != "reset" or self._ending is not Ending.AFTER_EPISODE:
                self.submit(rid, item, in_task=True)
                return
            assert self.reason is not None  # `retire` has set it
            self.finish(self.reason)
            item = self.reason
        self._idle_from = time.perf_counter()
        self._delivery = self.sink.deliver(self, rid, item)

    def _end(self, outcome: Outcome | BaseException) -> None:
        """End the call in flight: count it, move to the state that it left, and deliver its outcome."""
        flight, stats, observer = self.flight, self.stats, self.observer
        call = flight.call
        if call is None:  # the session has ended meanwhile
            return
        flight.call, flight.in_callback = None, False
        self.idle_since = now = time.perf_counter()
        latency_s = now - flight.began_at
        if isinstance(outcome, Outcome):
            size = len(outcome.data)
            if size > self.limits.max_message_bytes:
                outcome = too_large(size, self.limits.max_message_bytes)
                stats.errors += 1
            elif call.kind == "step":
                self.steps += 1
                stats.latencies_s.append(latency_s)
                if latency_s < QUICK_S:
                    stats.quick_s += latency_s
                    observer = observer if observer is None or observer.wants_quick else None
            elif call.kind == "reset":
                self.episodes += 1
            self.state.now = MOVES[self.state.now][DONE]
        else:
            self._fail(outcome)
        if observer is not None:
            observer.called(self, flight.rid, call, outcome, latency_s)
        if flight.cancelled or isinstance(outcome, CallCancelled):
            flight.cancelled = False
        else:
            flight.kept = outcome if self.token else None
            self._delivery = self.sink.deliver(self, flight.rid, outcome)
        if self._delivery is None and not self.queue and self._ending is GOES_ON and not self.was_broken:
            self.idle = True
        else:
            self._wake()

    def _fail(self, error: BaseException) -> None:
        self.stats.errors += 1
        hung = isinstance(error, StepTimeout) and not error.details.get("session_usable")
        self.was_broken = hung or isinstance(error, EnvironmentCrashed)
        self.state.move(Move.BREAK if self.was_broken else DONE)

    def limit_idle(self, timeout_s: float | None) -> None:
        """End the session after so many seconds, from now on, with nothing in flight and nothing asked; None: never."""
        self._idle_timeout_s = timeout_s
        self._idle_from = time.perf_counter()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if timeout_s is not None and self._executor is not None:  # else it is not open yet, or has ended
            self._idle_timer = asyncio.get_running_loop().call_later(timeout_s, self._check_idle)

    def _check_idle(self) -> None:
        """Wake the task when the session was idle for too long; calls do not touch the timer, so look again if not."""
        left_s = self._idle_left_s()
        if left_s <= 0:
            self._wake()
            left_s = self._idle_timeout_s or 0.0  # for a request that comes before the task looks
        self._idle_timer = asyncio.get_running_loop().call_later(left_s, self._check_idle)

    def _idle_left_s(self) -> float:
        """Seconds that the session may still be idle."""
        if self._idle_timeout_s is None:
            return 1.0
        if self.flight.call is not None or self.queue or self._delivery is not None:
            return self._idle_timeout_s
        return self._idle_timeout_s - (time.perf_counter() - max(self.idle_since, self._idle_from))

    def _wake(self) -> None:
        """Wake the session's task, so that it looks at what there is to do."""
        self.idle = False
        waker = self._waker
        if waker is not None and not waker.done():
            waker.set_result(None)
