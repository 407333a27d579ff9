"""An honest session that is played beside everything else, and keeps a diary.

It breaks a promise of the server's when it sees anything but its own episode, or has
to wait for those who misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from openenv_async.checking.episodes import Moment, look, play_on
from openenv_async.checking.stalls import Stalls
from openenv_async.checking.verdicts import Broke, Latency, NotJudged, latency_of
from openenv_async.checking.world import World, end
from openenv_async.errors import EnvError
from openenv_async.validation.playing import SEED

_PAUSE_S = 0.02
"""Between its steps, so that it is no load of its own."""

_MOST_TOLD = 3
_BEGIN_WAIT_S = 5.0


class Neighbour:
    """Plays from `start()` to `stop()`.

    Args:
        world: the server.
        doing: names what else is going on, for the diary.
    """

    def __init__(self, world: World, doing: Callable[[], str]) -> None:
        self._world, self._doing = world, doing
        self._task: asyncio.Task[None] | None = None
        self._stalls = Stalls()
        self._took: list[float] = []
        self._troubles: list[str] = []
        self._since: float | None = None
        """When the call in flight began, by a clock that stands still while this process does."""

        self._calls = 0
        self._absent = "it was not begun"
        self._begun = asyncio.Event()

    async def start(self) -> None:
        """Begin to play, where there is a place; returns when it has its place, or after some seconds."""
        if self._world.places is not None and self._world.places < 2:
            self._absent = "the server holds one session at a time"
            return
        self._stalls.start()
        self._task = asyncio.create_task(self._run(), name="openenv check neighbour")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_WAIT_S):
                await self._begun.wait()

    async def stop(self) -> None:
        """Leave. Safe to repeat."""
        self._stalls.stop()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._absent = ""

    @property
    def present(self) -> bool:
        """It has a place."""
        return self._begun.is_set() and self._task is not None and not self._task.done()

    @property
    def latency(self) -> Latency | None:
        """How long its resets and steps took, each with a look at the state."""
        return latency_of(self._took)

    def verdict(self) -> str:
        """Say how it went.

        Raises:
            Broke: it lost something, or waited.
            NotJudged: it did not play.
        """
        if self._since is not None and self._now() - self._since > self._world.patience_s:
            self._trouble(f"a call had no answer after {self._now() - self._since:.1f} s")
        if self._troubles:
            more = len(self._troubles) - _MOST_TOLD
            told = "; ".join(self._troubles[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
            raise Broke("its own episodes, each step answered as if it were alone", told)
        if not self._calls:
            raise NotJudged(self._absent or "it had no time to play")
        latency = self.latency
        slowest = 0.0 if latency is None else latency.slowest_ms
        kept = "saw only its own episodes" if self._world.repeatable else "had an answer to each call"
        return f"{self._calls} calls beside the rest: it {kept}, and waited {slowest:.0f} ms at most"

    async def _run(self) -> None:
        while len(self._troubles) < _MOST_TOLD:
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
        client = await self._world.good_client()
        self._begun.set()
        steps = max(1, len(self._world.reference) - 1)
        try:
            while True:
                moments: list[Moment] = []
                with self._timed():
                    moments.append(await look(client, await client.reset(seed=SEED)))
                for action in (self._world.actions * steps)[:steps]:
                    if moments[-1].done:
                        break
                    with self._timed():
                        await play_on(client, moments, [action])
                    await asyncio.sleep(_PAUSE_S)
                if self._world.repeatable and (differs := self._world.same(moments, self._world.wire)):
                    self._trouble(f"it saw what is not of its episode, at {differs}")
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._since = None
            await end(client)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        self._since, doing = self._now(), self._doing()
        yield
        took_s = self._now() - self._since
        self._since = None
        self._calls += 1
        self._took.append(took_s)
        if took_s > self._world.patience_s:
            self._trouble(f"a call took {took_s:.1f} s", doing)

    def _now(self) -> float:
        return time.perf_counter() - self._stalls.lost_s

    def _trouble(self, what: str, doing: str | None = None) -> None:
        self._troubles.append(f"during {doing or self._doing()}: {what}")
