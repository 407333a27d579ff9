"""Calls that are made where the request is taken, and do not wake the session's task: what most calls are.

Waking a task to make a call, and again for its outcome, costs more than the call of a small environment. Coroutines
that wait for nothing are done on the spot; calls of threads and processes are begun here, and their outcome comes to
`_land`. Whatever needs waiting (a deadline, a coroutine that waits, a full connection, a queue, an end) is the task's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

from msgspec import structs

from openenv_async.protocol.states import CALL
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.executors.base import Executor, Landing
from openenv_async.runtime.resumable import Resumable
from openenv_async.runtime.sink import Sink
from openenv_async.runtime.tally import Tally
from openenv_async.runtime.watch import Watch

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
