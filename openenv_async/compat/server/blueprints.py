"""The runtime's view of an environment whose factory and classes OpenEnv's `create_app` was given."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openenv_async.compat.server.call_adapter import CALL_ADAPTER
from openenv_async.compat.server.codecs import ActionCodec, observations_of, values_of
from openenv_async.environment import Execution
from openenv_async.runtime.blueprint import Blueprint, Identities
from openenv_async.runtime.threads import OnResult, PinnedThread, completions

logger = logging.getLogger("openenv_async.compat")


@dataclass(frozen=True, kw_only=True)
class OpenEnvBlueprint(Blueprint):
    """A `Blueprint` whose factory is named as OpenEnv names it in its errors."""

    @property
    def factory_name(self) -> str:
        """The factory's name for messages."""
        return getattr(self.factory, "__name__", str(self.factory))


class Shareable(Identities):
    """Lets sessions share an environment, as OpenEnv does, and says so once."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def claim(self, env: object, factory_name: str) -> None:
        """Register an environment; warn when another session has it."""
        with self._lock:
            known = self._seen.get(id(env))
            if known is None or known() is not env:
                self._seen[id(env)] = self._reference(env)
                return
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "the factory %r gave one %s object to two sessions: they play in the same environment, and the first "
                "that ends closes it. Pass the class, or a function that builds a new one at each call.",
                factory_name,
                type(env).__name__,
            )


class SharedThread(PinnedThread):
    """A thread of many sessions, on whatever event loop each is: none of them ends it."""

    def send(self, on_result: OnResult, function: Callable[..., Any], *args: Any, in_turn: bool = False) -> None:
        # The event loop is the one that runs here; one thread takes no turns with others.
        self._jobs.append((completions(), on_result, function, args))
        self.wake()

    def stop(self) -> None:
        """Do nothing: others may be using it."""

    def end(self) -> None:
        """End the thread when it has done what is queued."""
        super().stop()


class OneThread:
    """Gives every session the same thread: `REQUIRES_SINGLE_THREAD_EXECUTOR`."""

    def __init__(self) -> None:
        self._thread: SharedThread | None = None
        self._starting = threading.Lock()

    def __call__(self, name: str) -> PinnedThread:
        """Give the thread, started now if it does not run."""
        with self._starting:
            self._thread = self._thread or SharedThread("openenv-shared")
            return self._thread

    def end(self) -> None:
        """End the thread; the next session gets another one."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()


def blueprint_of(
    factory: Callable[[], Any],
    name: str,
    *,
    action_cls: Any,
    observation_cls: Any,
    state_cls: Any,
    execution: Execution | None,
    one_thread: bool,
    debug: bool,
) -> OpenEnvBlueprint:
    """Make the blueprint of an OpenEnv environment."""
    return OpenEnvBlueprint(
        factory=factory,
        name=name,
        action=ActionCodec(action_cls),
        observation=observations_of(observation_cls),
        state=values_of(state_cls),
        execution=execution,
        debug=debug,
        identities=Shareable(),
        adapter=CALL_ADAPTER,
        threads=OneThread() if one_thread else PinnedThread,
        keeps_thread=True,
    )
