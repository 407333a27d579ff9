"""`Call`: what a client's method gives inside a running event loop, before anybody has said how it is to be used.

Awaited, scheduled as a task or gathered, it is a coroutine. Read (an attribute, an
item, its truth), it runs to its end first, while the reading thread waits. Dropped,
it warns: nothing has happened, and that must not be lost. `dispatch` makes them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

Make = Callable[[], Coroutine[Any, Any, T]]

_PROBED = ("_", "cr_", "gi_", "ag_")
"""How names begin that asyncio, inspect and notebooks look for on anything; reading those must not start the call."""


class Call(Coroutine[Any, Any, T]):
    """One call of a client, not begun.

    Args:
        name: the method, for its warning.
        make: gives the coroutine that does it.
        awaited: called when it is awaited, before it begins; may refuse by raising.
        blocking: runs a coroutine to its end from code that does not await.
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

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        """See `Coroutine.send`."""
        return self._begun().send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None) -> Any:
        """See `Coroutine.throw`."""
        error = typ if isinstance(typ, BaseException) else val if isinstance(val, BaseException) else typ()
        return self._begun().throw(error if tb is None else error.with_traceback(tb))

    def close(self) -> None:
        """Give the call up. See `Coroutine.close`."""
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

    def _value(self) -> T:
        if self._running is not None:
            raise RuntimeError(f"{self.__name__}() is being awaited; read what the await gives")
        if not self._used:
            self._used = True
            try:
                self._result = self._blocking(self._make)
            except BaseException as exc:
                self._error = exc
                raise
        if self._error is not None:
            raise self._error
        result: Any = self._result
        return result  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        if name.startswith(_PROBED) or self._running is not None:
            raise AttributeError(f"the call of {self.__dict__.get('__name__')}() has no attribute {name!r}")
        return getattr(self._value(), name)

    def __getitem__(self, key: Any) -> Any:
        value: Any = self._value()
        return value[key]

    def __iter__(self) -> Iterator[Any]:
        value: Any = self._value()
        return iter(value)

    def __len__(self) -> int:
        value: Any = self._value()
        return len(value)

    def __contains__(self, item: object) -> bool:
        value: Any = self._value()
        return item in value

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
