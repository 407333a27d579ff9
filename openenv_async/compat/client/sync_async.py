"""How one method of a client serves code that awaits and code that does not.

Sync calls run on the one background loop of the process, which `openenv_sync` keeps.
In async code a method returns a `DeferredCall`. Awaited, scheduled as a task or
gathered, it is a coroutine. Read (an attribute, an item, its truth), it runs to its
end first, while the reading thread waits. Dropped, it warns that nothing has happened.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, TypeVar

from openenv_sync import process

T = TypeVar("T")

Make = Callable[[], Coroutine[Any, Any, T]]

_PROBED = ("_", "cr_", "gi_", "ag_")
"""Prefixes of names that asyncio, inspect and notebooks look up on any object: these do not start the call."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if any."""
    return asyncio._get_running_loop()


def on_background_loop() -> bool:
    """Return whether this code runs on the loop of the sync clients, which must not wait for itself."""
    loop, portal = running_loop(), process.current()
    return loop is not None and portal is not None and loop is portal.loop


def run_blocking(make: Make[T], what: str) -> T:
    """Run a coroutine on the background loop and wait for it; Ctrl-C cancels it.

    Raises:
        RuntimeError: this is the thread of that loop.
    """
    if on_background_loop():
        raise RuntimeError(f"{what} was used without await on the event loop that would carry it out; await it there")
    return process.portal().call(make)


async def in_thread(work: Callable[[], T]) -> T:
    """Run code that blocks in a thread. A cancelled call waits for its end, so that its outcome has an owner.

    Raises:
        CancelledError: after the work has ended, with or without an error.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.cancelled() or task.exception()
        raise


class LoopLock:
    """A lock of the running event loop: asyncio's own belong to the loop on which they were first awaited."""

    def __init__(self) -> None:
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def here(self) -> asyncio.Lock:
        """Return the running loop's lock."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        return self._lock[1]


class Deferred(Coroutine[Any, Any, T]):
    """A coroutine that is created when it is first awaited. For subclasses."""

    @abstractmethod
    def _begun(self) -> Coroutine[Any, Any, T]:
        """Return the coroutine, created by the first call."""

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        return self._begun().send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None) -> Any:
        error = typ if isinstance(typ, BaseException) else val if isinstance(val, BaseException) else typ()
        return self._begun().throw(error if tb is None else error.with_traceback(tb))


class DeferredCall(Deferred[T]):
    """One call of a client that has not begun.

    Args:
        name: the method, for the warning.
        make: returns the coroutine of the call.
        awaited: called when it is awaited, before it begins; may refuse by raising.
        blocking: runs a coroutine to its end from code that does not await.
        depth: frames from here to the caller, for the warning.
    """

    def __init__(
        self, name: str, make: Make[T], awaited: Callable[[], None], blocking: Callable[[Make[T]], T], depth: int = 3
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self._make, self._awaited, self._blocking = make, awaited, blocking
        self._running: Coroutine[Any, Any, T] | None = None
        self._result: T | None = None
        self._error: BaseException | None = None
        self._used = False
        frame = sys._getframe(depth)
        self._where = frame.f_code.co_filename, frame.f_lineno

    def close(self) -> None:
        self._used = True
        if self._running is not None:
            self._running.close()

    def _begun(self) -> Coroutine[Any, Any, T]:
        if self._running is None:
            if self._used:
                raise RuntimeError(f"{self.__name__}() has been carried out already; call it again")
            self._awaited()
            self._used = True
            self._running = self._make()
        return self._running

    def _value(self) -> Any:
        if self._running is not None:
            raise RuntimeError(f"{self.__name__}() is being awaited; read the result of the await")
        if not self._used:
            self._used = True
            try:
                self._result = self._blocking(self._make)
            except BaseException as exc:
                self._error = exc
                raise
        if self._error is not None:
            raise self._error
        return self._result

    def __getattr__(self, name: str) -> Any:
        if name.startswith(_PROBED) or self._running is not None:
            raise AttributeError(f"the call of {self.__dict__.get('__name__')}() has no attribute {name!r}")
        return getattr(self._value(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._value()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value())

    def __len__(self) -> int:
        return len(self._value())

    def __contains__(self, item: object) -> bool:
        return item in self._value()

    def __bool__(self) -> bool:
        return bool(self._value())

    def __repr__(self) -> str:
        if self._used and self._running is None:
            return repr(self._result)
        return f"<{self.__name__}() pending: await it, or read from it>"

    def __del__(self) -> None:
        if not self.__dict__.get("_used", True):
            file, line = self._where
            text = f"{self.__name__}() at {file}:{line} was never awaited nor read, so it did not happen"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)
