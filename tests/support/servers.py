"""Real servers for the tests of wires, client and HTTP: this package's runner on a socket, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

from starlette.types import ASGIApp

from openenv_async.server.runner import ServeOptions, serve

T = TypeVar("T")

BOUND_S = 30.0
"""Nothing in these tests waits longer."""

Bind = tuple[str, int] | str | Path


async def bounded(awaitable: Awaitable[T], timeout_s: float = BOUND_S) -> T:
    """Await, but never for ever."""
    async with asyncio.timeout(timeout_s):
        return await awaitable


class Served:
    """A server that runs until `stop()`."""

    def __init__(self, url: str, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.url = url
        self._stop, self._task = stop, task

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def stop(self) -> None:
        """Stop as a signal would; repeating it does nothing."""
        self._stop.set()
        await bounded(asyncio.shield(self._task))


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, bind: Bind = ("127.0.0.1", 0), *, grace_s: float = 0.5, options: ServeOptions | None = None
) -> AsyncIterator[Served]:
    stop, urls = asyncio.Event(), asyncio.get_running_loop().create_future()
    options = options or ServeOptions(grace_s=grace_s, linger_s=0.5)
    task = asyncio.create_task(serve(app, bind=[bind], options=options, ready=urls.set_result, stop=stop))
    await asyncio.wait([task, urls], timeout=BOUND_S, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    served = Served((await bounded(urls))[0], stop, task)
    try:
        yield served
    finally:
        await served.stop()


class Journal:
    """What the environments of one test did, from whatever thread; a test waits for entries instead of sleeping."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._gates: dict[str, threading.Event] = {}
        self._async_gates: dict[str, asyncio.Event] = {}

    def note(self, what: str) -> None:
        with self._changed:
            self._counts[what] += 1
            self._changed.notify_all()

    def count(self, what: str) -> int:
        with self._changed:
            return self._counts[what]

    async def until(self, what: str, times: int = 1) -> None:
        """Return when `what` was noted so many times."""
        assert await asyncio.to_thread(self._wait, what, times), f"{what!r} was not noted {times} times: {self._counts}"

    def _wait(self, what: str, times: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._counts[what] >= times, BOUND_S)

    def gate(self, name: str) -> threading.Event:
        """Where a sync environment waits, in its thread, for the test."""
        with self._changed:
            return self._gates.setdefault(name, threading.Event())

    def async_gate(self, name: str) -> asyncio.Event:
        """Where an async environment waits, on the test's loop, for the test."""
        return self._async_gates.setdefault(name, asyncio.Event())

    def open_gate(self, name: str) -> None:
        self.gate(name).set()
        self.async_gate(name).set()


async def gathered(calls: Sequence[Awaitable[T]]) -> list[T]:
    return list(await bounded(asyncio.gather(*calls)))
