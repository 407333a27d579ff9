"""`AsyncEnv`: one session, stepped from async code.

Owns what the trainer sees: the rules of use, the typed values, what happens to a
session that is lost. `pool` finds the connection, a `Channel` carries the bytes,
`codec` makes the values.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

from openenv_async.client.channel import Answer, Channel
from openenv_async.client.codecs import Codecs, codecs_for, type_arguments
from openenv_async.client.episodes import Episodes
from openenv_async.client.launch import Provider, Starting
from openenv_async.client.options import WireChoice, find_target, make_options
from openenv_async.client.pool import pool
from openenv_async.client.tracing import traced
from openenv_async.codec import Decoded, ModelCodec, ObservationCodec, codec_for, observation_codec_for
from openenv_async.errors import (
    ClientClosed,
    EnvError,
    NotConnected,
    NotReset,
    ServerClosing,
    SessionBroken,
    SessionBusy,
    SessionLost,
    StepTimeout,
    WrongLoop,
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

_PLAIN: ModelCodec[Any] = codec_for(None)
_PLAIN_OBSERVATION: ObservationCodec[Any] = observation_codec_for(None)


class Parsing(Generic[ActT, ObsT, StateT]):
    """The half of `AsyncEnv` that knows values. Needs no overriding: the type arguments give the coders.

    A subclass written for OpenEnv may define `_step_payload`, `_parse_result` and
    `_parse_state`; they get and give what they do there, on both wires.
    """

    _codecs: ClassVar[Codecs] = codecs_for(())

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Give the JSON form of an action."""
        payload: dict[str, Any] = self._codecs.action.to_builtins(action)
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Make a result from `{"observation": {...}, "reward": ..., "done": ..., "metadata": ...}`."""
        return _result(self._codecs.observation.from_ws_builtins(payload))

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Make a state from its JSON form."""
        state: StateT = self._codecs.state.from_builtins(payload)
        return state

    def _encode_action(self, native: bool, action: ActT) -> bytes:
        codec: ModelCodec[Any] = self._codecs.action
        value: Any = action
        if type(self)._step_payload is not Parsing._step_payload:
            codec, value = _PLAIN, self._step_payload(action)
        return codec.encode_msgpack(value) if native else codec.encode_json(value)

    def _encode_arguments(self, native: bool, arguments: dict[str, Any]) -> bytes:
        return _PLAIN.encode_msgpack(arguments) if native else _PLAIN.encode_json(arguments)

    def _decode_result(self, channel: Channel, answer: Answer) -> StepResult[ObsT]:
        if type(self)._parse_result is not Parsing._parse_result:
            result = self._parse_result(_as_openenv(channel.native, answer.data))
        else:
            codec = self._codecs.observation
            got = codec.decode_native(answer.data) if channel.native else codec.decode_ws_json(answer.data)
            return StepResult(
                got.observation,
                got.reward,
                got.done,
                got.metadata,
                got.truncated,
                channel.session_id,
                channel.request_id,
                answer.warnings,
            )
        if isinstance(result, StepResult):
            result.session_id, result.request_id = channel.session_id, channel.request_id
            if answer.warnings:
                result.warnings = answer.warnings
        return result

    def _decode_state(self, native: bool, data: bytes) -> StateT:
        if type(self)._parse_state is not Parsing._parse_state:
            return self._parse_state(_PLAIN.decode_msgpack(data) if native else _PLAIN.decode_json(data))
        codec = self._codecs.state
        state: StateT = codec.decode_msgpack(data) if native else codec.decode_json(data)
        return state


def _result(decoded: Decoded[Any]) -> StepResult[Any]:
    return StepResult(decoded.observation, decoded.reward, decoded.done, decoded.metadata, decoded.truncated)


def _as_openenv(native: bool, data: bytes) -> dict[str, Any]:
    if not native:
        payload: dict[str, Any] = _PLAIN.decode_json(data)
        return payload
    decoded = _PLAIN_OBSERVATION.decode_native(data)
    payload = {"observation": decoded.observation, "reward": decoded.reward, "done": decoded.done}
    if decoded.metadata:
        payload["metadata"] = decoded.metadata
    return payload


class Rules:
    """The half of `AsyncEnv` that says no."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        """Where that loop runs."""
        self._lost: EnvError | None = None
        self._began = False
        self._busy = False
        self._closed = False

    @property
    def connected(self) -> bool:
        """A session is open and, as far as this side knows, alive."""
        return self._channel is not None and self._channel.lost is None and self._lost is None

    def _check_loop(self) -> None:
        # What asyncio.get_running_loop() says, without the system call that it makes: one loop runs in one thread.
        if self._loop is None or threading.get_ident() != self._thread or not self._loop.is_running():
            raise WrongLoop(
                f"this {type(self).__name__} was connected in another event loop; make one in this loop, or use SyncEnv"
            )

    def _may_call(self, name: str, timeout_s: float | None) -> Channel | None:
        """Check the rules of use; None when the session is gone and `reset` is to open another."""
        channel, loop = self._channel, self._loop
        if (
            self._began
            and not self._busy
            and self._lost is None
            and timeout_s is None
            and channel is not None
            and channel.lost is None
            and loop is not None
            and threading.get_ident() == self._thread
            and loop.is_running()
        ):
            return channel  # what nearly every call finds, without the questions one by one
        return self._judge(name, timeout_s)

    def _judge(self, name: str, timeout_s: float | None) -> Channel | None:
        channel = self._channel
        if self._closed:
            raise ClientClosed(f"{name}() came after close(); make a new {type(self).__name__}")
        if self._busy:
            raise SessionBusy(
                f"{name}() came while another call of this session is in flight; await that first, or use one "
                f"{type(self).__name__} per concurrent episode"
            )
        if self._loop is None:
            client = type(self).__name__
            raise NotConnected(f"{name}() came before connect(); use `async with` or await {client}.connect(url)")
        self._check_loop()
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s!r}")
        if self._lost is None and channel is not None:
            self._lost = channel.lost
        if self._lost is not None or channel is None:
            if name == "reset":
                return None
            if self._lost is None:
                raise NotConnected("the last connect() failed; await reset() or connect() to try again")
            lost = type(self._lost)(self._lost.message, **self._lost.details)
            lost.session_id = None if channel is None else channel.session_id
            raise lost
        if name == "step" and not self._began:
            raise NotReset(f"{name}() came before the first reset(); await reset() to begin an episode")
        return channel

    async def _leave_session(self) -> None:
        """End the session, so that the next `reset` opens another; a cancelled call leaves it to end by itself."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            await channel.aclose()
        except asyncio.CancelledError:
            channel.abandon()
            raise

    def _note(self, exc: Exception) -> None:
        """Remember that the session is gone, so that nothing goes on without a reset."""
        if isinstance(exc, StepTimeout):
            if not exc.session_usable:
                text = "the session is broken: its environment did not come back from an earlier call; call reset()"
                self._lost = SessionBroken(text)
        elif isinstance(exc, (SessionLost, SessionBroken)):
            self._lost = exc


logger = logging.getLogger("openenv_async")

_RUNNING: set[asyncio.Future[Any]] = set()
"""Callbacks that are coroutines; the loop alone would not keep them."""


class Reconnects:
    """The part of `AsyncEnv` that has the callback."""

    def __init__(self) -> None:
        self._on_reconnect: Callable[[Any], object] | None = None
        super().__init__()

    @property
    def on_reconnect(self) -> Callable[[Any], object] | None:
        """Called with this client each time its session goes on over a new connection; None: nobody is told.

        A plain function or a coroutine function. What it raises is logged and hurts nothing; the call in flight does
        not wait for it.
        """
        return self._on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, callback: Callable[[Any], object] | None) -> None:
        self._on_reconnect = callback

    def _watch(self, channel: Channel) -> None:
        # Weak: a client that nobody holds is to be collected, though its connection goes on.
        me = weakref.ref(self)

        def resumed() -> None:
            env = me()
            if env is not None:
                env._resumed()

        channel.on_resumed = resumed

    def _resumed(self) -> None:
        if self._on_reconnect is None:
            return
        try:
            given = self._on_reconnect(self)
        except Exception:
            logger.exception("on_reconnect of %r failed", self)
            return
        if inspect.isawaitable(given):
            running = asyncio.ensure_future(given)
            _RUNNING.add(running)
            running.add_done_callback(_done)


def _done(running: asyncio.Future[Any]) -> None:
    _RUNNING.discard(running)
    error = None if running.cancelled() else running.exception()
    if error is not None:
        logger.error("on_reconnect failed", exc_info=error)


EnvT = TypeVar("EnvT", bound="AsyncEnv[Any, Any, Any]")


class Connect:
    """The descriptor behind the name."""

    @overload
    def __get__(self, obj: None, owner: type[EnvT]) -> Callable[..., Coroutine[Any, Any, EnvT]]: ...

    @overload
    def __get__(self, obj: EnvT, owner: type[EnvT]) -> Callable[[], Coroutine[Any, Any, EnvT]]: ...

    def __get__(self, obj: EnvT | None, owner: type[EnvT]) -> Callable[..., Coroutine[Any, Any, EnvT]]:
        """Give the one that fits how it was reached."""
        if obj is not None:
            return _Existing(obj)

        async def connect(target: Any, **options: Any) -> EnvT:
            env = owner(target, **options)
            await env.open()
            return env

        connect.__doc__ = "Make a client with the constructor's options, connect it and give it."
        return connect


class _Existing:
    """`env.connect`, which takes no target: the client has one."""

    def __init__(self, env: Any) -> None:
        self._env = env

    async def __call__(self) -> Any:
        await self._env.open()
        return self._env


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
