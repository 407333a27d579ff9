"""`openenv.core.sync_client`: a client for code that does not await.

Each call runs on the background loop that all clients of the process share (0.10.0 has
a thread per client). It blocks, also inside a running event loop, as in a notebook.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable
from typing import Any, Generic, Self, TypeVar

from openenv_async.compat.client.client_types import StateT, StepResult
from openenv_async.compat.client.sync_async import DeferredCall, run_blocking
from openenv_sync import process

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
T = TypeVar("T")


class SyncEnvClient(Generic[ActT, ObsT, StateT]):
    """The blocking form of an `EnvClient`. Other attributes are the client's; its coroutine functions block here.

    Args:
        async_client: the `EnvClient`, not yet used from async code.
    """

    # `Any` for the client: `env_client` imports this module.
    def __init__(self, async_client: Any) -> None:
        self._async = async_client

    @property
    def async_client(self) -> Any:
        """The `EnvClient` behind this one."""
        return self._async

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        portal = process.current()
        return None if portal is None else portal.loop

    def _run(self, coro: Awaitable[T]) -> T:
        """Run an awaitable on the background loop, and wait for it."""
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
        """Connect, if there is no usable connection; returns this client. Raises what `EnvClient.connect` raises."""
        self._async._run_sync(self._async._connect_async)
        return self

    def disconnect(self) -> None:
        """Close the session. A server that this client owns keeps running."""
        self._async._run_sync(self._async._disconnect_async)

    def reset(self, **kwargs: Any) -> StepResult[ObsT]:
        """Begin an episode. Raises what `EnvClient.reset` raises."""
        result: StepResult[ObsT] = self._async._run_sync(lambda: self._async._reset_async(**kwargs))
        return result

    def step(self, action: ActT, **kwargs: Any) -> StepResult[ObsT]:
        """Play one action, once. Raises what `EnvClient.step` raises."""
        result: StepResult[ObsT] = self._async._run_sync(lambda: self._async._step_async(action, **kwargs))
        return result

    def state(self) -> StateT:
        """Read the episode's state. Raises what `EnvClient.step` raises."""
        state: StateT = self._async._run_sync(self._async._state_async)
        return state

    def close(self) -> None:
        """Close the session, those of `new_session`, and the server if this client owns one. Safe to repeat."""
        self._async._run_sync(self._async._close_async)

    def new_session(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """Open another session on the same server; it closes with this one."""
        child: SyncEnvClient[ActT, ObsT, StateT] = self._async._run_sync(self._async._new_session_async).sync()
        return child

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name == "_async":  # looked up by copy and pickle before it is set
            raise AttributeError(name)
        attribute = getattr(self._async, name)
        if inspect.iscoroutinefunction(attribute) or name in self._async._dispatched:
            return functools.partial(self._blocking, attribute)
        return attribute

    def _blocking(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._async._claim_execution_mode("sync")
        outcome = method(*args, **kwargs)
        if isinstance(outcome, DeferredCall) or inspect.iscoroutine(outcome):
            return self._run(outcome)
        return outcome

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        payload: dict[str, Any] = self._async._step_payload(action)
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        result: StepResult[ObsT] = self._async._parse_result(payload)
        return result

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        state: StateT = self._async._parse_state(payload)
        return state
