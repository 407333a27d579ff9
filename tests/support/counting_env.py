"""An environment in which a step that was lost, done twice or given to another session can be told from the others.

Each session numbers its steps and carries a random tag of its own; each environment object has a
random name. An observation says all three, and how many steps this very object has executed. What
was executed is written down beside the environments too, for `Watched` to show.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter

from openenv_async import Action, Environment, Observation, State

SLOW_S, HANG_S = 0.02, 1.5
"""How long a step that is slow, or hangs, takes unless its deadline comes first. One that hangs in a thread
is given up, and the thread goes on to its end: late enough to be noticed, soon enough to be gone."""
PAUSES = {"slow": SLOW_S, "hang": HANG_S}


class CountAction(Action):
    n: int
    tag: str
    op: str = ""
    padding: str = ""


class CountObservation(Observation):
    n: int = 0
    count: int = 0
    tag: str = ""
    name: str = ""
    padding: str = ""


class CountState(State):
    count: int = 0
    tag: str = ""
    name: str = ""


class Record:
    """What all environments of one server did, from whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._executed: Counter[str] = Counter()

    def note(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def executed(self, tag: str) -> None:
        with self._lock:
            self._executed[tag] += 1

    def forget(self, tag: str) -> None:
        """Let go of a tag, so that a server that runs for hours stays as small as it was."""
        with self._lock:
            self._executed.pop(tag, None)

    def shown(self) -> tuple[dict[str, int], dict[str, int]]:
        with self._lock:
            return dict(self._counts), dict(self._executed)


class Counting(Environment[CountAction, CountObservation, CountState]):
    """In a thread."""

    def __init__(self, record: Record, forgets: bool = False) -> None:
        self.record, self.forgets = record, forgets
        self.name = secrets.token_hex(6)
        self.tag = ""
        self.count = 0
        record.note("built")

    def reset(self, seed: int | None = None, episode_id: str | None = None, tag: str = "") -> CountObservation:
        self.tag, self.count = tag, 0
        self.record.note("resets")
        return self._seen(0)

    def step(self, action: CountAction) -> CountObservation:
        time.sleep(PAUSES.get(action.op, 0))
        return self._play(action)

    def _play(self, action: CountAction) -> CountObservation:
        self.count += 1
        self.record.executed(action.tag)
        if action.op == "raise":
            raise ValueError("as asked")
        seen = self._seen(action.n)
        seen.padding = action.padding
        return seen

    def _seen(self, n: int) -> CountObservation:
        return CountObservation(n=n, count=self.count, tag=self.tag, name=self.name)

    @property
    def state(self) -> CountState:
        return CountState(step_count=self.count, count=self.count, tag=self.tag, name=self.name)

    def close(self) -> None:
        self.record.note("closed")
        if self.forgets:
            self.record.forget(self.tag)


class AsyncCounting(Counting):
    """On the event loop."""

    async def step(self, action: CountAction) -> CountObservation:  # type: ignore[override]
        if action.op in PAUSES:
            await asyncio.sleep(PAUSES[action.op])
        return self._play(action)
