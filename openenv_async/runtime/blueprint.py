"""Everything needed to build and call environments: the factory, the codecs, how they run.

`create_app` makes one `Blueprint`; every session builds its own environment from it.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, get_args

from openenv_async.codec import ModelCodec, ObservationCodec
from openenv_async.environment import Execution
from openenv_async.errors import FactoryError
from openenv_async.runtime.call_adapter import NATIVE, CallAdapter
from openenv_async.runtime.threads import PinnedThread

if TYPE_CHECKING:
    from openenv_async.runtime.executors.base import Executor

EXECUTIONS: tuple[str, ...] = get_args(Execution)


class Identities:
    """Remembers which environments the factory returned, to refuse one that comes twice. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, Callable[[], Any]] = {}

    def claim(self, env: object, factory_name: str) -> None:
        """Register a new environment.

        Raises:
            FactoryError: the same object was claimed before and still exists.
        """
        with self._lock:
            known = self._seen.get(id(env))
            if known is not None and known() is env:
                raise FactoryError(
                    f"the factory {factory_name!r} returned the same {type(env).__name__} object twice; every session "
                    "needs its own environment: pass the class, or a function that builds a new one at each call",
                    factory_name=factory_name,
                )
            self._seen[id(env)] = self._reference(env)

    def _reference(self, env: object) -> Callable[[], Any]:
        key = id(env)
        try:
            return weakref.ref(env, lambda _: self._seen.pop(key, None))
        except TypeError:  # a class with __slots__ and no __weakref__ is held until release()
            return lambda: env

    def release(self, env: object) -> None:
        """Forget an environment that could only be held strongly."""
        with self._lock:
            known = self._seen.get(id(env))
            if known is not None and not isinstance(known, weakref.ref):
                del self._seen[id(env)]


class ProcessLauncher(Protocol):
    """Builds environments in other processes: `processes.pool` does."""

    async def start(self, blueprint: Blueprint, session_id: str, timeout_s: float | None) -> Executor:
        """Build one; see `executors.factory.start_executor`."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Everything a session needs to build and play its environment."""

    factory: Callable[[], Any]
    name: str
    action: ModelCodec[Any]
    observation: ObservationCodec[Any]
    state: ModelCodec[Any]
    execution: Execution | None
    debug: bool = False
    launcher: ProcessLauncher | None = None
    """Required for `execution="process"`."""
    identities: Identities = field(default_factory=Identities)
    adapter: CallAdapter = NATIVE
    threads: Callable[[str], PinnedThread] = PinnedThread
    """Makes the thread of a session, with this name."""
    keeps_thread: bool = False
    """The plain methods of an async environment all run on the thread that built it."""

    @property
    def env_cls(self) -> type | None:
        """The environment's class, if the factory is one or a partial of one."""
        factory = self.factory
        while isinstance(factory, functools.partial):
            factory = factory.func
        return factory if inspect.isclass(factory) else None

    @property
    def factory_name(self) -> str:
        """The factory's name for messages."""
        return getattr(self.factory, "__name__", None) or type(self.factory).__name__

    def is_async(self, env: object | None = None) -> bool | None:
        """Return whether `step` is `async def`; None while the class is not known."""
        known = env if env is not None else self.env_cls
        return None if known is None else self.adapter.is_async(known)


def chosen_execution(factory: Callable[[], Any], execution: str | None) -> Execution | None:
    """Decide how environments run: the argument, else what the class declares, else None (by its methods).

    Raises:
        ValueError: no such execution.
    """
    chosen = execution or getattr(factory, "execution", None)
    if chosen is None:
        return None
    for name in get_args(Execution):
        if name == chosen:
            if name == "process" and not hasattr(os, "fork"):
                raise ValueError("execution='process' needs a POSIX system, where processes fork; use 'thread'")
            return name  # type: ignore[no-any-return]
    raise ValueError(f"execution must be one of {', '.join(EXECUTIONS)}, not {chosen!r}")
