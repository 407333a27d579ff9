"""`openenv.core.sync_client`: a client for code that does not await.

A thin front of an `EnvClient`, each call carried out on the background loop that
all clients of the process share (0.10.0 has a thread per client). It blocks, also
inside a running event loop, as a notebook's cell does.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from openenv_async.compat.client.client_types import StateT, StepResult
from openenv_async.compat.client.deferred_call import Call
from openenv_async.compat.client.sync_async import run_blocking
from openenv_sync import process

if TYPE_CHECKING:
    from openenv_async.compat.client.env_client import EnvClient

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
T = TypeVar("T")


class SyncEnvClient(Generic[ActT, ObsT, StateT]):
    """The blocking front of a client. Other attributes are the client's; its coroutine functions block here.

    Args:
        async_client: the client, not yet used from async code.
    """

    def __init__(self, async_client: EnvClient[ActT, ObsT, StateT]) -> None:
        self._async = async_client

    @property
    def async_client(self) -> EnvClient[ActT, ObsT, StateT]:
        """The client behind this one."""
        return self._async

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        portal = process.current()
        return None if portal is None else portal.loop

    def _run(self, coro: Awaitable[T]) -> T:
        """Run what can be awaited on the background loop, and wait for it."""
        try:
            self._async._claim_execution_mode("sync")
        except RuntimeError:
            if inspect.iscoroutine(coro):
                coro.close()
            raise

        async def run() -> T:
            return await coro

        return run_blocking(run, type(self._async).__name__)

    def connect(self) -> Self:
        """Connect, if there is no usable connection; gives this client. Raises what `EnvClient.connect` raises."""
        self._async._run_sync(self._async._connect_async)
        return self

    def disconnect(self) -> None:
        """End the session. A server that this client owns goes on."""
        self._async._run_sync(self._async._disconnect_async)

    def reset(self, **kwargs: Any) -> StepResult[ObsT]:
        """Begin an episode. Raises what `EnvClient.reset` raises."""
        return self._async._run_sync(lambda: self._async._reset_async(**kwargs))

    def step(self, action: ActT, **kwargs: Any) -> StepResult[ObsT]:
        """Play one action, once. Raises what `EnvClient.step` raises."""
        return self._async._run_sync(lambda: self._async._step_async(action, **kwargs))

    def state(self) -> StateT:
        """Read the episode's state. Raises what `EnvClient.step` raises."""
        return self._async._run_sync(self._async._state_async)

    def close(self) -> None:
        """End the session, those made by `new_session`, and the server if this client owns one. Safe to repeat."""
        self._async._run_sync(self._async._close_async)

    def new_session(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """Open another session on the same server; it closes with this one."""
        child = self._async._run_sync(self._async._new_session_async)
        return child.sync()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name == "_async":  # looked for before it is there, by copy and pickle
            raise AttributeError(name)
        attribute = getattr(self._async, name)
        if inspect.iscoroutinefunction(attribute) or name in self._async._dispatched:
            return functools.partial(self._blocking, attribute)
        return attribute

    def _blocking(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._async._claim_execution_mode("sync")
        outcome = method(*args, **kwargs)
        if isinstance(outcome, Call) or inspect.iscoroutine(outcome):
            return self._run(outcome)
        return outcome

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        return self._async._step_payload(action)

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        return self._async._parse_result(payload)

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        return self._async._parse_state(payload)
