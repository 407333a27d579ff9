"""A registry over scripted environments, and a sink that writes down what it hears."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv_async.limits import Limits
from openenv_async.runtime.calls import Outcome
from openenv_async.runtime.processes.pool import ProcessPool
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.session import Session, Sink
from support.scripted_envs import blueprint_of, world_for
from support.servers import BOUND_S, bounded


class Notes(Sink):
    """A `Sink`. Await `until(...)` for what it is to hear."""

    def __init__(self) -> None:
        self.opened_ = False
        self.results: list[tuple[int, Outcome | BaseException]] = []
        self.error: BaseException | None = None
        self.over = False
        self.gate: asyncio.Event | None = None
        """When set, `deliver` gives something to wait for: this."""
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def rids(self) -> list[int]:
        return [rid for rid, _ in self.results]

    def opened(self, session: Session) -> None:
        self.opened_ = True
        self._tell()

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Any:
        self.results.append((rid, outcome))
        self._tell()
        return None if self.gate is None else self.gate.wait()

    def ended(self, session: Session, error: BaseException | None) -> None:
        assert not self.over, "ended twice"
        self.over, self.error = True, error
        self._tell()

    def _tell(self) -> None:
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(
        self,
        *,
        results: int = 0,
        opened: bool = False,
        over: bool = False,
        settled: bool = False,
        timeout_s: float = BOUND_S,
    ) -> None:
        """Return when it has heard all of this; `settled` is either of opened and over."""

        def heard() -> bool:
            fits = len(self.results) >= results and self.opened_ >= opened and self.over >= over
            return fits and (self.opened_ or self.over or not settled)

        async with self._changed:
            await bounded(self._changed.wait_for(heard), timeout_s)

    async def result(self, number: int = 1) -> Outcome:
        """Give the outcome of the number-th delivery, or raise it."""
        await self.until(results=number)
        outcome = self.results[number - 1][1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class House:
    """A registry and the world that its environments share."""

    def __init__(self, kind: str = "thread sync", max_sessions: int = 4, **limits: Any) -> None:
        self.world = world_for(kind)
        limits = {"close_timeout_s": 5.0, "create_timeout_s": 10.0} | limits
        self.registry = Registry(blueprint_of(kind, self.world), Limits(**limits), max_sessions)

    def begin(self, **options: Any) -> tuple[Session, Notes]:
        notes = Notes()
        return self.registry.open(notes, **options), notes

    async def open(self, **options: Any) -> tuple[Session, Notes]:
        """Open a session and wait until it is."""
        session, notes = self.begin(**options)
        await notes.until(opened=True)
        return session, notes

    async def left(self) -> None:
        """End what an app ends with its lifespan: processes that close environments after calls that came late."""
        launcher = self.registry.blueprint.launcher
        if isinstance(launcher, ProcessPool):
            await bounded(launcher.aclose())

    @property
    def counts(self) -> tuple[int, int]:
        """Environments built and closed."""
        return self.world.journal.count("init"), self.world.journal.count("close")

    @property
    def is_empty(self) -> bool:
        return (self.registry.active, self.registry.waiting, dict(self.registry.sessions)) == (0, 0, {})
