"""`openenv.core.env_client`: the client that environments subclass and trainers use.

The public methods are plain methods that return results in sync code and awaitables
in async code (`sync_async`). One connection is one session. When it is lost, so is the
episode: `step` and `state` then raise ConnectionError, and only `reset()` or
`connect()` opens another. `provider_lifecycle` starts and stops a server that belongs
to the client. Subclasses and trainers use several of the underscored names, which are
therefore those of 0.10.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from openenv_async.compat.client import provider_lifecycle, sync_async
from openenv_async.compat.client.client_types import StateT, StepResult
from openenv_async.compat.client.provider_lifecycle import Bootstrap
from openenv_async.compat.client.sockets import close_quietly, drop, is_closed, is_gone, ws_connect
from openenv_async.compat.client.sockets import is_localhost as _is_localhost_ws_url
from openenv_async.compat.client.sync_async import DeferredCall, LoopLock, Make
from openenv_async.compat.client.sync_client import SyncEnvClient
from openenv_async.compat.client.utils import accepted, convert_to_ws_url, find_mode, json_default

__all__ = ["ActT", "EnvClient", "EnvClientT", "ObsT", "StateT", "StepResult", "_is_localhost_ws_url"]

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
T = TypeVar("T")
EnvClientT = TypeVar("EnvClientT", bound="EnvClient[Any, Any, Any]")

FULL_PAUSE_S = 0.05
"""Seconds before asking a full server again for the slot that this client has left."""

_MIB = 1024 * 1024
_REFUSED = ("CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR")
"""Codes after which there is no session: the server closes the connection."""

_FULL = "(code: CAPACITY_REACHED)"
_CLOSE_MESSAGE = '{"type": "close"}'
_ENCODER = json.JSONEncoder(default=json_default)


class EnvClient(ABC, Generic[ActT, ObsT, StateT]):
    """A session on an OpenEnv server, for code written for OpenEnv's client. For subclasses.

    A method's result can be awaited; in code without an event loop it is simply the
    result. Inside an event loop, a result that is read without being awaited is
    fetched while the loop waits, and one that is dropped warns. A client connects on
    first use. It is used from async or from sync code, not from both.

    Args:
        base_url: `http(s)://`, `ws(s)://` or `host:port`; None: the provider's.
        connect_timeout_s: seconds to reach the server.
        message_timeout_s: seconds a call waits for its answer.
        max_message_size_mb: largest answer, in MiB.
        websocket_ping_interval_s: seconds between two pings to the server; None: none are sent.
        websocket_ping_timeout_s: seconds it has to answer; None: for ever.
        provider: starts a server when there is no `base_url`, and stops it with the client.
        mode: `simulation` or `production`; None: the variable `OPENENV_CLIENT_MODE`, or simulation.
        headers: sent whenever a connection is opened.
        request_timeout_s: older name of `message_timeout_s`, which it replaces.
        default_headers: older name of `headers`, which win where both have a name.

    Raises:
        ValueError: neither `base_url` nor `provider`, or an unknown mode.
    """

    _dispatched: ClassVar[tuple[str, ...]] = ()
    """Methods of a subclass that serve sync and async code, as the public methods here do."""

    # Of the class too: tests of environments create clients without calling the constructor.
    _execution_mode: str | None = None
    _claimed_on: asyncio.AbstractEventLoop | None = None
    _provider_stopped = False
    _provider_cleanup_pending = False

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
        """Create a client, in `simulation` or `production` mode; the class describes the arguments."""
        if base_url is None and provider is None:
            raise ValueError("EnvClient requires either base_url or provider.")
        self._mode = find_mode(mode)
        self._base_url: str | None = None
        self._ws_url: str | None = None
        self._connect_timeout = connect_timeout_s
        self._message_timeout: float | None = message_timeout_s if request_timeout_s is None else request_timeout_s
        self._max_message_size = int(max_message_size_mb * _MIB)
        self._websocket_ping_interval_s = websocket_ping_interval_s
        self._websocket_ping_timeout_s = websocket_ping_timeout_s
        given = headers is not None or default_headers is not None
        self._headers = dict(default_headers or {}) | dict(headers or {}) if given else None
        self._provider = provider
        self._start_provider_on_connect = base_url is None
        self._child_clients: list[EnvClient[Any, Any, Any]] = []
        self._front: weakref.ref[SyncEnvClient[ActT, ObsT, StateT]] | None = None
        self._ws: Any = None
        self._ws_loop: asyncio.AbstractEventLoop | None = None
        self._pending_close_tasks: set[asyncio.Task[None]] = set()
        self._answered = False
        """The session on this connection has answered, or may have acted, so that there may be an episode to lose."""
        self._lost: str | None = None
        """How the last session was lost; None while there is one, or after a reset."""
        self._gave_up = False
        """The server may still be running a call that was given up."""
        self._one_call, self._one_connect = LoopLock(), LoopLock()
        if base_url is not None:
            self._set_base_url(base_url)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_mode" and "_mode" in self.__dict__:
            raise AttributeError("Cannot modify mode after initialization")
        super().__setattr__(name, value)

    @classmethod
    def from_docker_image(cls, image: str, provider: Any = None, **kwargs: Any) -> Bootstrap[Self]:
        """Start a container of an image, connect to it, and own it: `close()` removes it.

        The result can be awaited for the client, asked for `.sync()`, or used as the client right away.

        Args:
            image: e.g. `"my-env:latest"`.
            provider: starts the container; None: Docker on this machine.
            kwargs: arguments of the provider's `start_container`: `port`, `env_vars`.
        """
        return Bootstrap(cls, lambda: provider_lifecycle.start_container(cls, image, provider, kwargs))

    @classmethod
    def from_env(
        cls, repo_id: str, *, use_docker: bool = True, provider: Any = None, **provider_kwargs: Any
    ) -> Bootstrap[Self]:
        """Start a copy of a Space of the Hugging Face Hub here, connect to it, and own it.

        Args:
            repo_id: `"org/name"`.
            use_docker: run its image from the Hub's registry; False: clone its repository and run that with uv.
            provider: starts it; None: Docker or uv on this machine.
            provider_kwargs: arguments of the provider: `port`, `env_vars`, `workers`, `tag`, `project_path` and so on.
        """
        start = provider_lifecycle.start_space
        return Bootstrap(cls, lambda: start(cls, repo_id, use_docker, provider, dict(provider_kwargs)))

    @classmethod
    def from_hub(
        cls, repo_id: str, *, use_docker: bool = True, provider: Any = None, **provider_kwargs: Any
    ) -> Bootstrap[Self]:
        """Do what `from_env` does; the name of earlier releases."""
        return cls.from_env(repo_id, use_docker=use_docker, provider=provider, **provider_kwargs)

    @property
    def base_url(self) -> str | None:
        """The server's address, without a slash at its end; None until a provider has started one."""
        return self._base_url

    def _set_base_url(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._ws_url = f"{convert_to_ws_url(base_url)}/ws"

    @abstractmethod
    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Return the JSON form of an action."""

    @abstractmethod
    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Build a result from `{"observation": {...}, "reward": ..., "done": ...}`."""

    @abstractmethod
    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Build a state from its JSON form."""

    def connect(self) -> Any:
        """Connect, if there is no usable connection; returns the client.

        Raises:
            ConnectionError: no server answered.
        """
        return self._dispatch(self._connect_async, "connect")

    def disconnect(self) -> Any:
        """Close the session. A server that this client owns keeps running."""
        return self._dispatch(self._disconnect_async, "disconnect")

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode; opens a new session in place of one that was lost.

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
            action: an action, as `_step_payload` accepts it.
            kwargs: accepted and ignored, as in OpenEnv.

        Raises:
            RuntimeError: the server answered with an error; the session lives.
            TimeoutError: it did not answer in time; the session is lost.
            ConnectionError: the session is lost; `reset()` opens another.
        """
        return self._dispatch(lambda: self._step_async(action, **kwargs), "step")

    def state(self) -> Any:
        """Read the episode's state. Raises what `step` raises."""
        return self._dispatch(self._state_async, "state")

    def close(self) -> Any:
        """Close the session, those of `new_session`, and the server if this client owns one. Safe to repeat."""
        return self._dispatch(self._close_async, "close")

    def new_session(self) -> Any:
        """Open another session on the same server; returns a client of the same class, which closes with this one.

        Raises:
            ConnectionError: the server is full, or cannot be reached.
        """
        return self._dispatch(self._new_session_async, "new_session")

    def sync(self) -> SyncEnvClient[ActT, ObsT, StateT]:
        """Return the client for code that does not await; always the same one."""
        front = self._sync_client
        if front is None:
            front = SyncEnvClient(self)
            self._front = weakref.ref(front)  # weak, because it refers to this client
        return front

    @property
    def _sync_client(self) -> SyncEnvClient[ActT, ObsT, StateT] | None:
        return None if self._front is None else self._front()

    async def __aenter__(self) -> Self:
        self._claim_execution_mode("async")
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._run_sync(self._connect_async)
        return self

    def __exit__(self, *exc: object) -> None:
        self._run_sync(self._close_async)

    def __del__(self) -> None:
        ws, loop = self.__dict__.get("_ws"), self.__dict__.get("_ws_loop")
        if ws is None or is_closed(ws):
            return
        drop(ws, loop)
        if loop is not None and not loop.is_closed():
            text = f"unclosed {type(self).__name__} of {self._base_url}; use `with`, `async with` or close()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

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
        # A subclass may have a constructor of its own.
        return cast("EnvClient[Any, Any, Any]", make(**accepted(make, options)))

    async def _close_async(self) -> None:
        children, self._child_clients = self._child_clients, []
        try:
            await asyncio.shield(asyncio.gather(*(child._close_async() for child in children), return_exceptions=True))
        finally:
            await self._close_connection()

    async def _close_quietly(self) -> None:
        with contextlib.suppress(Exception):
            await self._close_async()

    async def _connect_async(self) -> Any:
        """Connect, if there is no usable connection; if that fails, the provider is stopped."""
        async with self._one_connect.here():
            self._forget_unusable()
            if self._ws is None:
                await self._drain_pending_close_tasks()
                await self._open()
        return self

    async def _open(self) -> None:
        try:
            await self._start_provider_if_needed()
        except Exception:
            if not self._provider_cleanup_pending:
                with contextlib.suppress(Exception):
                    await self._close_connection()
            raise
        try:
            self._ws = await self._open_socket()
        except Exception as exc:
            url = self._ws_url
            await self._close_async()
            raise ConnectionError(f"Failed to connect to {url}: {exc}") from exc
        self._ws_loop = asyncio.get_running_loop()
        self._answered, self._lost = False, None

    async def _open_socket(self) -> Any:
        assert self._ws_url is not None  # set by the constructor or by starting the provider
        return await ws_connect(
            self._ws_url,
            open_timeout=self._connect_timeout,
            max_size=self._max_message_size,
            ping_interval=self._websocket_ping_interval_s,
            ping_timeout=self._websocket_ping_timeout_s,
            additional_headers=self._headers,
        )

    async def _ensure_connected(self) -> None:
        await self._connect_async()

    def _keeps_session(self) -> bool:
        """Return whether the session outlives its connection, so that the next connection finds it again."""
        return False

    def _forget_unusable(self) -> None:
        """Drop a connection that was closed, or that belongs to another event loop or process."""
        ws, loop = self._ws, self._ws_loop
        if ws is None:
            return
        if is_closed(ws):
            self._lose("the server closed the connection")
        elif loop is None:  # a subclass has set `_ws`
            self._ws_loop = asyncio.get_running_loop()
        elif loop is not asyncio.get_running_loop():
            self._lose("the connection was made on another event loop")
            self._gave_up = True
            drop(ws, loop)

    def _lose(self, reason: str) -> Any:
        """Give up the connection, and with it the session; returns its socket."""
        ws, self._ws, self._ws_loop = self._ws, None, None
        if self._answered and not self._keeps_session():
            self._lost = f"{reason}, and the episode is gone with it; call reset() to begin another"
        self._answered = False
        return ws

    async def _send(self, message: dict[str, Any]) -> None:
        """Send a message, connecting first if need be; after a lost session only a `reset`."""
        self._forget_unusable()
        if self._ws is None and self._lost is not None and message.get("type") != "reset":
            raise ConnectionError(self._lost)
        await self._ensure_connected()
        assert self._ws is not None  # connected just now
        await self._ws.send(_ENCODER.encode(message))

    async def _receive(self) -> dict[str, Any]:
        """Receive the next message; when cancelled or late, close the connection in the background: it is lost."""
        assert self._ws is not None  # the request was sent on it
        try:
            async with asyncio.timeout(self._message_timeout):
                raw = await self._ws.recv()
        except TimeoutError:
            self._answered = self._gave_up = True
            limit = f"{self._message_timeout:g} s" if self._message_timeout is not None else "its time"
            self._schedule_socket_close(self._lose(f"the server did not answer within {limit}"))
            raise TimeoutError(f"the server did not answer within {limit} (message_timeout_s)") from None
        except asyncio.CancelledError:
            self._answered = self._gave_up = True
            # The answer may still arrive, and would be taken for the next call's.
            self._schedule_socket_close(self._lose("a call was cancelled while the server was running it"))
            raise
        try:
            response = json.loads(raw)
        except ValueError as exc:
            raise ConnectionError(f"the server does not answer with OpenEnv's JSON: {exc}") from exc
        if not isinstance(response, dict):
            raise ConnectionError(f"the server does not answer with OpenEnv's messages but with {response!r:.80}")
        return response

    async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer. Calls made at the same time take turns.

        Raises:
            RuntimeError: the server answered with an error.
            TimeoutError: it did not answer in time.
            ConnectionError: it cannot be reached, or the session is lost.
        """
        async with self._one_call.here():
            self._forget_unusable()
            if message.get("type") == "reset" and self._gave_up:
                return await self._ask_while_full(message)
            return await self._ask(message)

    async def _ask_while_full(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ask until the slot is free that this client has left: the environment may still run the call given up."""
        deadline = asyncio.get_running_loop().time() + self._connect_timeout
        while True:
            try:
                response = await self._ask(message)
            except RuntimeError as exc:
                if _FULL not in str(exc) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                self._gave_up = False
                return response

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        old = self._ws
        try:
            response = await self._exchange(message)
        except Exception as exc:
            if not is_gone(exc):
                raise
            closed = self._ws is not old  # by this side, meanwhile
            self._lose(f"the connection was lost ({exc})")
            if old is None or closed or message.get("type") != "reset":
                raise ConnectionError(self._lost or f"the connection was lost: {exc}") from exc
            # It had ended before this call, unnoticed: a reset may use another.
            try:
                response = await self._exchange(message)
            except Exception as again:
                if not is_gone(again):
                    raise
                self._lose(f"the connection was lost ({again})")
                raise ConnectionError(f"the server closes its connections: {again}") from again
        if response.get("type") == "error":
            self._raise(response.get("data") or {})
        self._answered = True
        return response

    async def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        sent = False
        try:
            await self._send(message)
            sent = True
        except Exception as exc:
            # A server that refuses a session sends the reason and closes: the reason may still be readable.
            if not is_gone(exc):
                raise
        try:
            return await self._receive()
        except Exception as exc:
            self._answered |= sent and is_gone(exc)
            raise

    def _raise(self, error: dict[str, Any]) -> None:
        code = error.get("code", "UNKNOWN")
        if code in _REFUSED:
            self._schedule_socket_close(self._lose(f"the server ended the session ({code})"))
        else:
            self._answered = True
        raise RuntimeError(f"Server error: {error.get('message', 'Unknown error')} (code: {code})")

    def _schedule_socket_close(self, ws: Any, *, notify_server: bool = False) -> asyncio.Task[None]:
        """Close a connection in the background; the next connect or close waits for it."""
        task = asyncio.create_task(close_quietly(ws, _CLOSE_MESSAGE if notify_server else None))
        self._pending_close_tasks.add(task)
        task.add_done_callback(self._pending_close_tasks.discard)
        return task

    async def _disconnect_async(self) -> None:
        """Close the session; returns when the server has, or after some seconds. A cancelled call still completes."""
        loop = self._ws_loop
        ws = self._lose("this client was disconnected")
        if ws is None:
            return
        if loop is None or loop is asyncio.get_running_loop():
            # A server that runs a call would read a close message only after it, and delay the caller until then.
            idle = not self._one_call.here().locked()
            await asyncio.shield(self._schedule_socket_close(ws, notify_server=idle))
        else:
            drop(ws, loop)

    async def _drain_pending_close_tasks(self) -> None:
        # A server with one slot has none until the last connection is closed.
        loop = asyncio.get_running_loop()
        if tasks := [task for task in self._pending_close_tasks if task.get_loop() is loop]:
            await asyncio.shield(asyncio.wait(tasks))

    async def _close_connection(self) -> None:
        """Close the session, and then the server if this client owns one, even if the former fails."""
        try:
            try:
                await self._drain_pending_close_tasks()
            finally:
                await self._disconnect_async()
        finally:
            await self._stop_provider()

    async def _start_provider_if_needed(self) -> None:
        """Start the provider if there is no address yet; raise if an earlier server could not be stopped."""
        if self._provider_cleanup_pending:
            if not self._start_provider_on_connect:
                raise RuntimeError(
                    "Provider cleanup is pending for this client with an existing base URL: the last close() could "
                    "not stop its server. Call close() again, then create a new client"
                )
            await self._stop_provider()
        if self._ws_url is not None:
            return
        if self._provider is None:
            raise RuntimeError("EnvClient has no base URL or provider.")
        self._provider_stopped = False
        self._set_base_url(await provider_lifecycle.start_server(self._provider))

    async def _stop_provider(self) -> None:
        """Stop the provider, once; one that could not be stopped is tried again by the next call."""
        try:
            if self._provider is None or self._provider_stopped:
                return
            self._provider_cleanup_pending = True
            await provider_lifecycle.stop_server(self._provider)
            self._provider_cleanup_pending, self._provider_stopped = False, True
        finally:
            if self._start_provider_on_connect:
                self._base_url = self._ws_url = None

    def _claim_execution_mode(self, mode: str) -> None:
        """Settle on `sync` or `async` at first use; raise RuntimeError later, unless the loop of that use is closed."""
        loop = self._claimed_on
        if self._execution_mode in (None, mode) or (loop is not None and loop.is_closed()):
            self._execution_mode = mode
            self._claimed_on = sync_async.running_loop() if mode == "async" else None
            return
        raise RuntimeError(
            f"EnvClient is already being used in {self._execution_mode} mode. "
            "Create a separate client instance when mixing sync and async code."
        )

    def _run_sync(self, coro_factory: Make[T], *, allow_async_handoff: bool = False) -> T:
        """Run an operation on the background loop and wait for it.

        With `allow_async_handoff`, where no event loop runs, a client of async code becomes one of sync code.
        """
        if allow_async_handoff and self._execution_mode == "async":
            self._execution_mode, self._claimed_on = "sync", None
        else:
            self._claim_execution_mode("sync")
        return sync_async.run_blocking(coro_factory, type(self).__name__)

    def _dispatch(self, coro_factory: Make[T], name: str = "call", depth: int = 3) -> Any:
        """Return a result, or in async code an awaitable for it."""
        if sync_async.running_loop() is None:
            return self._run_sync(coro_factory, allow_async_handoff=True)
        if self._execution_mode == "sync" and not sync_async.on_background_loop():
            return self._run_sync(coro_factory)
        return DeferredCall(f"{type(self).__name__}.{name}", coro_factory, self._awaited, self._run_sync, depth)

    def _awaited(self) -> None:
        if not (self._execution_mode == "sync" and sync_async.on_background_loop()):
            self._claim_execution_mode("async")
