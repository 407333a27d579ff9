"""`AsyncEnv`: one session, stepped from async code.

Owns what the trainer sees: the rules of use, the typed values, what happens to a
session that is lost. `pool` finds the connection, a `Channel` carries the bytes,
`codec` makes the values.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from openenv_async.client.channel import Channel
from openenv_async.client.connecting import Connect
from openenv_async.client.episodes import Episodes
from openenv_async.client.generics import Codecs, codecs_for, type_arguments
from openenv_async.client.options import WireChoice, find_target, make_options
from openenv_async.client.parsing import Parsing
from openenv_async.client.pool import pool
from openenv_async.client.provider import Provider
from openenv_async.client.reconnects import Reconnects
from openenv_async.client.rules import Rules
from openenv_async.client.starting import Starting
from openenv_async.client.tracing import traced
from openenv_async.errors import (
    ClientClosed,
    ServerClosing,
    SessionBroken,
    SessionBusy,
    SessionLost,
    StepTimeout,
)
from openenv_async.results import StepResult

if TYPE_CHECKING:
    import typing_extensions

    # With defaults, so that `env = AsyncEnv(url)` needs no annotation; at run time they are there from Python 3.13 on.
    ActT = typing_extensions.TypeVar("ActT", default=Any)
    ObsT = typing_extensions.TypeVar("ObsT", default=Any)
    StateT = typing_extensions.TypeVar("StateT", default=Any)
else:
    ActT, ObsT, StateT = TypeVar("ActT"), TypeVar("ObsT"), TypeVar("StateT")


class AsyncEnv(
    Starting, Reconnects, Rules, Episodes[ActT, ObsT], Parsing[ActT, ObsT, StateT], Generic[ActT, ObsT, StateT]
):
    """A session on an environment server.

    Untyped, it takes dict actions and gives dict observations. A typed client is
    `class AsyncMyEnv(AsyncEnv[MyAction, MyObservation, MyState])` and nothing more.
    Clients of one event loop that have the same server share a connection.

    Args:
        base_url: `http(s)://`, `ws(s)://`, `host:port`, `unix:/path`, or an Environment
            class or ASGI app, which is then played in process.
        connect_timeout_s: seconds to reach the server.
        message_timeout_s: seconds a call waits for its answer when it has no `timeout_s`; None: for ever.
        max_message_size_mb: largest action and observation, in MiB.
        headers: sent when the connection is opened.
        provider: starts the server when there is no `base_url`, and ends it with the client.
        token: sent as `Authorization: Bearer`.
        ca_file: PEM file of the authorities that an `https` server is checked against, in place of the usual ones.
        queue_timeout_s: seconds to wait for a slot on a full server; None: as long as the server allows.
        wire: `"auto"` takes the native wire where the server has it, else OpenEnv's JSON.
        ping_interval_s: seconds between pings, which keep proxies from dropping a quiet connection.

    Raises:
        ValueError: neither `base_url` nor `provider`, or an option that makes no sense.
    """

    _codecs: ClassVar[Codecs] = codecs_for(())

    connect = Connect()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the type arguments, if the subclass gives any; else the parent's hold."""
        super().__init_subclass__(**kwargs)
        arguments = type_arguments(cls, AsyncEnv)
        if arguments:
            cls._codecs = codecs_for(arguments)

    def __init__(
        self,
        base_url: Any = None,
        *,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float | None = 60.0,
        max_message_size_mb: float = 100.0,
        headers: Mapping[str, str] | None = None,
        provider: Provider | None = None,
        token: str | None = None,
        wire: WireChoice = "auto",
        queue_timeout_s: float | None = None,
        ca_file: str | PathLike[str] | None = None,
        ping_interval_s: float = 20.0,
    ) -> None:
        super().__init__()
        if base_url is None and provider is None:
            name = type(self).__name__
            raise ValueError(f"{name} needs base_url= (where the server is) or provider= (what starts one)")
        self._options = make_options(
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_size_mb=max_message_size_mb,
            headers=headers,
            token=token,
            wire=wire,
            queue_timeout_s=queue_timeout_s,
            ca_file=ca_file,
            ping_interval_s=ping_interval_s,
        )
        self._target = None if base_url is None else find_target(base_url)
        self._base_url = base_url.rstrip("/") if isinstance(base_url, str) else None
        self._provider = provider

    @property
    def base_url(self) -> str | None:
        """The server's address as it was given or as the provider gave it; None for an app in process."""
        return self._base_url

    @property
    def session_id(self) -> str | None:
        """The server's name for the session, the same over a reconnect; None before `connect` and on the JSON wire."""
        return None if self._channel is None else self._channel.session_id

    async def open(self) -> None:
        """Connect and open a session; nothing happens when there is one. `connect` and `async with` do this.

        Raises:
            ConnectFailed: no server answered.
            CapacityError: every slot stayed taken for as long as the server lets clients wait.
            FactoryError: the environment could not be built.
            CancelledError: nothing is left behind on the server.
        """
        if self._closed:
            raise ClientClosed(f"this {type(self).__name__} was closed; make a new one")
        if self._busy:
            raise SessionBusy(f"open() came while another call of this {type(self).__name__} is in flight")
        if self._channel is not None:
            self._check_loop()
            return
        self._busy = True
        try:
            await self._open()
        finally:
            self._busy = False

    async def _open(self) -> Channel:
        old, self._channel = self._channel, None
        if old is not None:
            old.abandon()
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        if self._target is None and self._provider is not None:
            self._base_url = await self._provider.start()
            self._target = find_target(self._base_url)
        assert self._target is not None  # the constructor took care
        channel = self._channel = traced(await pool().open(self._target, self._options))
        self._lost, self._began = None, False
        self._watch(channel)
        if self._closed:  # meanwhile; close() found nothing to close
            self._channel = None
            await channel.aclose()
            raise ClientClosed(f"this {type(self).__name__} was closed while it connected; make a new one")
        return channel

    async def reset(
        self, *, seed: int | None = None, episode_id: str | None = None, timeout_s: float | None = None, **kwargs: Any
    ) -> StepResult[ObsT]:
        """Begin an episode.

        The only call that may open a new session in place of one that was lost, or whose server is being replaced.

        Args:
            seed: makes the episode reproducible, if the environment takes seeds; it warns if not.
            episode_id: your name for the episode.
            timeout_s: seconds it may take; the deadline travels to the server.
            kwargs: the environment's own arguments.

        Raises:
            InvalidPayload: an argument that the environment does not take.
            EnvironmentFailed: the environment raised; the session lives.
            StepTimeout: `error.session_usable` says whether the session lives.
            CancelledError: the reset may or may not have happened; the session can be used.
        """
        arguments = {"seed": seed, "episode_id": episode_id} | kwargs
        given = {key: value for key, value in arguments.items() if value is not None or key in kwargs}
        channel = self._may_call("reset", timeout_s)
        if channel is not None and channel.retiring:
            channel = None  # its server is being replaced, and plays the old episode only
        self._busy = True
        try:
            try:
                result = await self._reset_on(channel or await self._open(), given, timeout_s)
            except (SessionLost, SessionBroken, ServerClosing) as exc:
                if channel is None:
                    raise
                self._note(exc)
                # It had ended without this side knowing; a new episode takes nothing from it.
                result = await self._reset_on(await self._open(), given, timeout_s)
        except (SessionLost, SessionBroken, StepTimeout) as exc:
            self._note(exc)
            raise
        finally:
            self._busy = False
        for text in result.warnings:
            warnings.warn(text, UserWarning, stacklevel=2)
        return result

    async def _reset_on(self, channel: Channel, arguments: dict[str, Any], timeout_s: float | None) -> StepResult[ObsT]:
        answer = await channel.request("reset", self._encode_arguments(channel.native, arguments), timeout_s)
        self._began = True
        return self._decode_result(channel, answer)

    async def step(self, action: ActT, *, timeout_s: float | None = None) -> StepResult[ObsT]:
        """Play one action, exactly once.

        Args:
            action: an instance of the action class, or a dict.
            timeout_s: seconds it may take; the deadline travels to the server.

        Raises:
            InvalidPayload: the action does not fit; `error.path` names the field.
            EnvironmentFailed: the environment raised; the session lives.
            StepTimeout: `error.session_usable` says whether the session lives.
            SessionLost: the session is gone; only `reset` goes on.
            CancelledError: the step may or may not have happened; the session can be used.
        """
        channel = self._may_call("step", timeout_s)
        assert channel is not None  # only reset may go on without one
        self._busy = True
        try:
            payload = self._encode_action(channel.native, action)
            return self._decode_result(channel, await channel.request("step", payload, timeout_s))
        except (SessionLost, SessionBroken, StepTimeout) as exc:
            self._note(exc)
            raise
        finally:
            self._busy = False

    async def state(self) -> StateT:
        """Read the episode's state; changes nothing.

        Raises:
            EnvironmentFailed: the environment raised; the session lives.
            SessionLost: the session is gone; only `reset` goes on.
        """
        channel = self._may_call("state", None)
        assert channel is not None  # as in step
        self._busy = True
        try:
            answer = await channel.request("state", b"", None)
            return self._decode_state(channel.native, answer.data)
        except (SessionLost, SessionBroken, StepTimeout) as exc:
            self._note(exc)
            raise
        finally:
            self._busy = False

    async def close(self) -> None:
        """End the session and, if this client owns one, the server. Safe to repeat.

        Returns when the server has run the environment's `close()`, or after some seconds.
        """
        channel = self._channel
        if self._loop is not None and self._loop.is_closed():
            channel = None  # its connection went with its loop
        if channel is not None:
            self._check_loop()
        self._closed, self._channel = True, None
        try:
            if channel is not None:
                await channel.aclose()
        finally:
            provider, self._provider = self._provider, None
            if provider is not None:
                await provider.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        channel, loop = getattr(self, "_channel", None), getattr(self, "_loop", None)
        if channel is None or loop is None or loop.is_closed():
            return
        # Before the warning, which may be an error.
        loop.call_soon_threadsafe(channel.abandon)
        warnings.warn(f"{self!r} was not closed; use `async with` or await close()", ResourceWarning, stacklevel=2)
