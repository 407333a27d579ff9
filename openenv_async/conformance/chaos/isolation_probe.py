"""A well-behaved session run in parallel, to detect interference.

The server fails when this session sees anything but its own episode, or has to wait for
clients that misbehave. Time in which this process's own event loop was blocked does not
count.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from openenv_async.conformance.findings import CheckOutcome, Latency, NotJudged, PromiseBroken
from openenv_async.conformance.server.context import ServerContext, close_client
from openenv_async.conformance.server.episodes import Moment, look, play_on
from openenv_async.conformance.target import SEED
from openenv_async.errors import EnvError

_PAUSE_S = 0.02
"""Between its steps, so that it is not a load itself."""

_MOST_TROUBLES = 3
_BEGIN_WAIT_S = 5.0
_TICK_S = 0.02

_LEAST_BLOCKED_S = 0.25
"""Shorter delays are normal on a busy machine, and probably part of the wait for the server."""


class IsolationProbe:
    """Plays from `start()` to `stop()`.

    Args:
        context: of the server.
        current: returns the name of the check in progress.
    """

    def __init__(self, context: ServerContext, current: Callable[[], str]) -> None:
        self._context, self._current = context, current
        self._task: asyncio.Task[None] | None = None
        self._blocked = BlockedTime()
        self._took: list[float] = []
        self._troubles: list[str] = []
        self._since: float | None = None
        """When the call in flight began, by a clock that stops while this process is blocked."""

        self._calls = 0
        self._absent = "it was not started"
        self._begun = asyncio.Event()

    async def start(self) -> None:
        """Begin to play, where there is a slot; returns when it has one, or after some seconds."""
        if self._context.capacity is not None and self._context.capacity < 2:
            self._absent = "the server holds one session at a time"
            return
        self._blocked.start()
        self._task = asyncio.create_task(self._run(), name="openenv check neighbour")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_WAIT_S):
                await self._begun.wait()

    async def stop(self) -> None:
        """End the session. Safe to repeat."""
        self._blocked.stop()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._absent = ""

    @property
    def present(self) -> bool:
        """It has a session."""
        return self._begun.is_set() and self._task is not None and not self._task.done()

    @property
    def latency(self) -> Latency | None:
        """How long its resets and steps took, each with a request for the state."""
        return Latency.of(self._took)

    def outcome(self) -> CheckOutcome:
        """Return how it went.

        Raises:
            PromiseBroken: it lost something, or waited.
            NotJudged: it did not play.
        """
        if self._since is not None and self._now() - self._since > self._context.patience_s:
            self._trouble(f"a call had no answer after {self._now() - self._since:.1f} s")
        if self._troubles:
            more = len(self._troubles) - _MOST_TROUBLES
            told = "; ".join(self._troubles[:_MOST_TROUBLES]) + (f"; and {more} more" if more > 0 else "")
            raise PromiseBroken("its own episodes, each step answered as when it is alone", told)
        if not self._calls:
            raise NotJudged(self._absent or "it had no time to play")
        latency = self.latency
        slowest = 0.0 if latency is None else latency.slowest_ms
        kept = "saw only its own episodes" if self._context.repeatable else "had an answer to each call"
        return CheckOutcome(f"{self._calls} calls in parallel: it {kept}, and waited {slowest:.0f} ms at most")

    async def _run(self) -> None:
        while len(self._troubles) < _MOST_TROUBLES:
            try:
                await self._play()
            except NotJudged as error:
                self._absent = str(error)
                self._begun.set()
                return
            except (EnvError, OSError) as error:
                self._trouble(f"{type(error).__name__}: {error}")
                await asyncio.sleep(_PAUSE_S)

    async def _play(self) -> None:
        """Play episodes in one session until something goes wrong."""
        client = await self._context.open_client()
        self._begun.set()
        steps = max(1, len(self._context.reference) - 1)
        try:
            while True:
                moments: list[Moment] = []
                with self._timed():
                    moments.append(await look(client, await client.reset(seed=SEED)))
                for action in (self._context.actions * steps)[:steps]:
                    if moments[-1].done:
                        break
                    with self._timed():
                        await play_on(client, moments, [action])
                    await asyncio.sleep(_PAUSE_S)
                if self._context.repeatable and (
                    differs := self._context.differs_from_reference(moments, self._context.wire)
                ):
                    self._trouble(f"it saw something else than its episode at {differs}")
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._since = None
            await close_client(client)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        self._since, current = self._now(), self._current()
        yield
        took_s = self._now() - self._since
        self._since = None
        self._calls += 1
        self._took.append(took_s)
        if took_s > self._context.patience_s:
            self._trouble(f"a call took {took_s:.1f} s", current)

    def _now(self) -> float:
        return time.perf_counter() - self._blocked.lost_s

    def _trouble(self, what: str, current: str | None = None) -> None:
        self._troubles.append(f"during {current or self._current()}: {what}")


class BlockedTime:
    """Measures for how long the running event loop was blocked, from `start()` to `stop()`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost_s = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._due = self._loop.time() + _TICK_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Stop measuring. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lost_s(self) -> float:
        """Seconds since `start()` by which the loop was much too late for what was due."""
        # The caller may run before the tick that the same delay has held up.
        late_s = self._loop.time() - self._due
        return self._lost_s + (late_s if late_s >= _LEAST_BLOCKED_S else 0.0)

    def _tick(self) -> None:
        self._lost_s = self.lost_s
        self.start()
