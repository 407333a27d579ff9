"""`openenv.core.env_client`: the client that environments subclass and trainers drive.

Owns the constructor, the three hooks and the public methods. These are plain
methods that give results in sync code and awaitables in async code (`dispatch`).
`connection` talks to the server, `starting` and `owning` start one. Subclasses and
trainers reach for several of the underscored names, which are therefore 0.10.0's.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from openenv_async.compat.client.client_types import StateT, StepResult
from openenv_async.compat.client.connection import Connection
from openenv_async.compat.client.options import find_mode, taken, with_headers
from openenv_async.compat.client.provider_lifecycle import Starting
from openenv_async.compat.client.sockets import drop, is_closed, ws_connect
from openenv_async.compat.client.sockets import is_localhost as _is_localhost_ws_url
from openenv_async.compat.client.sync_async import Dispatching
from openenv_async.compat.client.utils import convert_to_ws_url

if TYPE_CHECKING:
    from openenv_async.compat.client.sync_client import SyncEnvClient

__all__ = ["ActT", "EnvClient", "EnvClientT", "ObsT", "StateT", "StepResult", "_is_localhost_ws_url"]

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
EnvClientT = TypeVar("EnvClientT", bound="EnvClient[Any, Any, Any]")

_MIB = 1024 * 1024


class EnvClient(Starting, Dispatching, Connection, ABC, Generic[ActT, ObsT, StateT]):
    """A session on an OpenEnv server, for code written for OpenEnv's client.

    A method's result can be awaited; in code without an event loop it is simply the
    result. Inside an event loop, a result that is read without being awaited is
    fetched while the loop waits, and one that is dropped warns. A client connects on
    first use. It is used from async or from sync code, not from both.

    Args:
        base_url: `http(s)://`, `ws(s)://` or `host:port`; None: the provider's.
        connect_timeout_s: seconds to reach the server.
        message_timeout_s: seconds a call waits for its answer.
        max_message_size_mb: largest answer, in MiB.
        websocket_ping_interval_s: seconds between two questions whether the server lives; None: never asked.
        websocket_ping_timeout_s: seconds it has to answer; None: for ever.
        provider: starts a server when there is no `base_url`, and ends it with the client.
        mode: `simulation` or `production`; None: the variable `OPENENV_CLIENT_MODE`, or simulation.
        headers: sent whenever a connection is opened.
        request_timeout_s: older name of `message_timeout_s`; wins when given.
        default_headers: older name of `headers`; those win where both have a name.

    Raises:
        ValueError: neither `base_url` nor `provider`, or no such mode.
    """

    def __init__(
        self,
        base_url: str | None = None,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float = 60.0,
        max_message_size_mb: float = 100.0,
        websocket_ping_interval_s: float | None = 20.0,
        websocket_ping_timeout_s: float | None = 20.0,
        provider: Any = None,
        mode: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        request_timeout_s: float | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make a client, in `simulation` or `production` mode; the class says what the arguments mean."""
        super().__init__()
        if base_url is None and provider is None:
            raise ValueError("EnvClient requires either base_url or provider.")
        self._mode = find_mode(mode)
        self._base_url: str | None = None
        self._ws_url: str | None = None
        self._connect_timeout = connect_timeout_s
        self._message_timeout = message_timeout_s if request_timeout_s is None else request_timeout_s
        self._max_message_size = int(max_message_size_mb * _MIB)
        self._websocket_ping_interval_s = websocket_ping_interval_s
        self._websocket_ping_timeout_s = websocket_ping_timeout_s
        self._headers = with_headers(headers, default_headers)
        self._provider = provider
        self._start_provider_on_connect = base_url is None
        self._child_clients: list[EnvClient[Any, Any, Any]] = []
        self._front: weakref.ref[SyncEnvClient[ActT, ObsT, StateT]] | None = None
        if base_url is not None:
            self._set_base_url(base_url)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_mode" and "_mode" in self.__dict__:
            raise AttributeError("Cannot modify mode after initialization")
        super().__setattr__(name, value)

    @property
    def base_url(self) -> str | None:
        """The server's address, without a slash at its end; None until a provider has started one."""
        return self._base_url

    def _set_base_url(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._ws_url = f"{convert_to_ws_url(base_url)}/ws"

    @abstractmethod
    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Give the JSON form of an action."""

    @abstractmethod
    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Make a result from `{"observation": {...}, "reward": ..., "done": ...}`."""

    @abstractmethod
    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Make a state from its JSON form."""

    def connect(self) -> Any:
        """Connect, if there is no usable connection; gives the client.

        Raises:
            ConnectionError: no server answered.
        """
        return self._dispatch(self._connect_async, "connect")

    def disconnect(self) -> Any:
        """End the session. A server that this client owns goes on."""
        return self._dispatch(self._disconnect_async, "disconnect")

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode; the call that opens a new session in place of one that was lost.

        Args:
            kwargs: the environment's own arguments, besides `seed` and `episode_id`.

        Raises:
            RuntimeError: the server answered with an error.
            TimeoutError: it did not answer in time; the session is lost.
            ConnectionError: it cannot be reached.
        """
        return self._dispatch(lambda: self._reset_async(**kwargs), "reset")

    def step(self, action: ActT, **kwargs: Any) -> Any:
        """Play one action, once.

        Args:
            action: what `_step_payload` takes.
            kwargs: taken and not used, as in OpenEnv.

        Raises:
            RuntimeError: the server answered with an error; the session lives.
            TimeoutError: it did not answer in time; the session is lost.
            ConnectionError: the session is lost; only `reset()` goes on.
        """
        return self._dispatch(lambda: self._step_async(action, **kwargs), "step")

    def state(self) -> Any:
        """Read the episode's state. Raises what `step` raises."""
        return self._dispatch(self._state_async, "state")

    def close(self) -> Any:
        """End the session, those made by `new_session`, and the server if this client owns one. Safe to repeat."""
        return self._dispatch(self._close_async, "close")

    def new_session(self) -> Any:
        """Open another session on the same server; gives a client of the same class, which closes with this one.

        Raises:
            ConnectionError: the server has no place for it, or cannot be reached.
        """
        return self._dispatch(self._new_session_async, "new_session")

    def sync(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """Give the client for code that does not await; always the same one."""
        from openenv_async.compat.client.sync_client import SyncEnvClient

        front = self._sync_client
        if front is None:
            front = SyncEnvClient(self)
            self._front = weakref.ref(front)  # it holds this client: a circle would outlive the last user of both
        return front

    @property
    def _sync_client(self) -> SyncEnvClient[ActT, ObsT, StateT] | None:
        return None if self._front is None else self._front()

    async def _open_socket(self) -> Any:
        assert self._ws_url is not None  # the constructor or the provider gave it
        return await ws_connect(
            self._ws_url,
            open_timeout=self._connect_timeout,
            max_size=self._max_message_size,
            ping_interval=self._websocket_ping_interval_s,
            ping_timeout=self._websocket_ping_timeout_s,
            additional_headers=self._headers,
        )

    async def _reset_async(self, **kwargs: Any) -> StepResult[ObsT]:
        response = await self._send_and_receive({"type": "reset", "data": kwargs})
        return self._parse_result(response.get("data", {}))

    async def _step_async(self, action: ActT, **kwargs: Any) -> StepResult[ObsT]:
        response = await self._send_and_receive({"type": "step", "data": self._step_payload(action)})
        return self._parse_result(response.get("data", {}))

    async def _state_async(self) -> StateT:
        response = await self._send_and_receive({"type": "state"})
        return self._parse_state(response.get("data", {}))

    async def _new_session_async(self) -> EnvClient[Any, Any, Any]:
        client = await self._create_session_client()
        await client._connect_async()
        client._execution_mode, client._claimed_on = self._execution_mode, self._claimed_on
        self._child_clients.append(client)
        return client

    async def _create_session_client(self) -> EnvClient[Any, Any, Any]:
        await self._start_provider_if_needed()
        options = {
            "base_url": self._base_url,
            "connect_timeout_s": self._connect_timeout,
            "message_timeout_s": self._message_timeout,
            "max_message_size_mb": self._max_message_size / _MIB,
            "websocket_ping_interval_s": self._websocket_ping_interval_s,
            "websocket_ping_timeout_s": self._websocket_ping_timeout_s,
            "mode": self._mode,
            "headers": self._headers,
        }
        make: Any = type(self)
        return cast("EnvClient[Any, Any, Any]", make(**taken(make, options)))

    async def _close_async(self) -> None:
        children, self._child_clients = self._child_clients, []
        try:
            await asyncio.shield(asyncio.gather(*(child._close_async() for child in children), return_exceptions=True))
        finally:
            await self._close_connection()

    async def _close_quietly(self) -> None:
        with contextlib.suppress(Exception):
            await self._close_async()

    async def __aenter__(self) -> Self:
        self._claim_execution_mode("async")
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._run_sync(self._connect_async)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run_sync(self._close_async)

    def __del__(self) -> None:
        ws, loop = self.__dict__.get("_ws"), self.__dict__.get("_ws_loop")
        if ws is None or is_closed(ws):
            return
        drop(ws, loop)
        if loop is not None and not loop.is_closed():
            text = f"unclosed {type(self).__name__} of {self._base_url}; use `with`, `async with` or close()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
