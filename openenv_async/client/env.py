"""`AsyncEnv`: one session, stepped from async code.

Owns what the trainer sees: the rules of use, the typed values, what happens to a
session that is lost. `pool` finds the connection, a `Channel` carries the bytes,
`codec` makes the values.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar, Unpack

from openenv_async.client import episodes, launch, reconnect
from openenv_async.client.channel import Answer, Channel, RequestKind
from openenv_async.client.codecs import PLAIN, ClientCodecs, as_openenv, codecs_for, result_of, type_arguments
from openenv_async.client.options import ClientOptions, completed, find_target, with_client_options
from openenv_async.client.pool import pool
from openenv_async.client.tracing import traced
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
from openenv_async.results import Episode, StepResult

if TYPE_CHECKING:
    import typing_extensions

    # With defaults, so that `env = AsyncEnv(url)` needs no annotation; at run time they are there from Python 3.13 on.
    ActT = typing_extensions.TypeVar("ActT", default=Any)
    ObsT = typing_extensions.TypeVar("ObsT", default=Any)
    StateT = typing_extensions.TypeVar("StateT", default=Any)
    either_method = classmethod
else:
    ActT, ObsT, StateT = TypeVar("ActT"), TypeVar("ObsT"), TypeVar("StateT")

    class either_method:
        """Binds a function to the class or to the object, whichever it is reached through."""

        def __init__(self, function: Callable[..., Any]) -> None:
            self._function = function

        def __get__(self, obj: Any, owner: type[Any]) -> MethodType:
            return MethodType(self._function, owner if obj is None else obj)


Call = Literal["open", "reset", "step", "state", "close"]


class Rule(NamedTuple):
    """A condition of a client in which some calls are refused."""

    holds: Callable[[AsyncEnv[Any, Any, Any]], bool]
    refuses: tuple[Call, ...]
    error: type[EnvError] | None
    """None: the error that ended the session, again."""
    text: str = ""


_ELSEWHERE = "this {client} was connected in another event loop; make one in this loop, or use SyncEnv"

_RULES = (
    Rule(
        lambda env: env._closed,
        ("open", "reset", "step", "state"),
        ClientClosed,
        "{call}() came after close(); make a new {client}",
    ),
    Rule(
        lambda env: env._busy,
        ("open", "reset", "step", "state"),
        SessionBusy,
        "{call}() came while another call of this session is in flight; await that first, or use one {client} per "
        "concurrent episode",
    ),
    Rule(
        lambda env: env._loop is None,
        ("reset", "step", "state"),
        NotConnected,
        "{call}() came before connect(); use `async with` or await {client}.connect(url)",
    ),
    Rule(lambda env: env._is_elsewhere(), ("reset", "step", "state"), WrongLoop, _ELSEWHERE),
    Rule(lambda env: env._channel is not None and env._is_elsewhere(), ("open", "close"), WrongLoop, _ELSEWHERE),
    Rule(lambda env: env._lost is not None, ("step", "state"), None),
    Rule(
        lambda env: env._channel is None,
        ("step", "state"),
        NotConnected,
        "the last connect() failed; await reset() or connect() to try again",
    ),
    Rule(
        lambda env: not env._began,
        ("step",),
        NotReset,
        "{call}() came before the first reset(); await reset() to begin an episode",
    ),
)
"""The rules of use, asked in this order. `close` may be repeated; `reset` opens a session in place of a lost one."""


class AsyncEnv(Generic[ActT, ObsT, StateT]):
    """A session on an environment server.

    Untyped, it takes dict actions and returns dict observations. A typed client is
    `class AsyncMyEnv(AsyncEnv[MyAction, MyObservation, MyState])` and nothing more.
    Clients of one event loop that have the same server share a connection.

    A subclass written for OpenEnv may define `_step_payload`, `_parse_result` and `_parse_state`;
    they take and return what they do there, on both wires.

    Args:
        base_url: `http(s)://`, `ws(s)://`, `host:port`, `unix:/path`, or an Environment
            class or ASGI app, which is then played in process.
        options: see `ClientOptions`.

    Raises:
        ValueError: neither `base_url` nor `provider`, or an option that makes no sense.
        TypeError: an unknown option.
    """

    _codecs: ClassVar[ClientCodecs] = codecs_for(())

    # Here and not only in __init__: a constructor that fails leaves an object that is collected all the same.
    _channel: Channel | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread = 0
    """Where that loop runs."""
    _lost: EnvError | None = None
    _began = False
    _busy = False
    _playing = False
    _closed = False
    _on_reconnect: Callable[[Any], object] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the type arguments, if the subclass gives any; else the parent's hold."""
        super().__init_subclass__(**kwargs)
        arguments = type_arguments(cls, AsyncEnv)
        if arguments:
            cls._codecs = codecs_for(arguments)

    @with_client_options
    def __init__(self, base_url: Any = None, **options: Unpack[ClientOptions]) -> None:
        name = type(self).__name__
        self._options = completed(name, options)
        self._provider = self._options["provider"]
        if base_url is None and self._provider is None:
            raise ValueError(f"{name} needs base_url= (where the server is) or provider= (what starts one)")
        self._target = None if base_url is None else find_target(base_url)
        self._base_url = base_url.rstrip("/") if isinstance(base_url, str) else None

    @property
    def base_url(self) -> str | None:
        """The server's address as it was given or as the provider gave it; None for an app in process."""
        return self._base_url

    @property
    def session_id(self) -> str | None:
        """The server's name for the session, the same over a reconnect; None before `connect` and on the JSON wire."""
        return None if self._channel is None else self._channel.session_id

    @property
    def connected(self) -> bool:
        """A session is open and, as far as this side knows, alive."""
        return self._channel is not None and self._channel.lost is None and self._lost is None

    @property
    def on_reconnect(self) -> Callable[[Any], object] | None:
        """Called with this client each time its session continues over a new connection; None: nothing is called.

        A plain function or a coroutine function. What it raises is logged and has no other effect; the call in flight
        does not wait for it.
        """
        return self._on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, callback: Callable[[Any], object] | None) -> None:
        self._on_reconnect = callback

    @either_method
    @with_client_options
    async def connect(cls, target: Any = None, **options: Unpack[ClientOptions]) -> Self:
        """Make a client with the constructor's arguments, connect it and return it.

        On an object, as OpenEnv has it, it takes no arguments and is `open()`.
        """
        env = cls(target, **options) if isinstance(cls, type) else same_object(cls, target, options)
        await env.open()
        return env

    @classmethod
    async def from_docker_image(cls, image: str, **options: Any) -> Self:
        """Start a container of an image, connect to it, and own it: `close()` removes it.

        Args:
            image: e.g. `"my-env:latest"`; pulled when the engine does not have it.
            options: the constructor's own, and those of `providers.DockerProvider`: `env` (or OpenEnv's
                `env_vars`), `port`, `container_port`, `volumes`, `memory`, `cpus`, `network`, `start_timeout_s`.

        Raises:
            ServerNotStarted: no engine, no image, or the server died before it was healthy, with its last lines.
            CancelledError: the container is removed.
        """
        return await launch.from_docker_image(cls, image, options)

    @classmethod
    async def from_hub(cls, repo_id: str, *, use: launch.Use = "space", **options: Any) -> Self:
        """Play a Space of the Hugging Face Hub.

        Args:
            repo_id: `"org/name"`.
            use: `"space"` connects to the running Space and wakes it if it sleeps; `"docker"` runs its image
                from the Hub's registry here; `"local"` downloads its repository and serves it here.
            options: the constructor's own, and those of the provider; `token` is the Hub's.

        Raises:
            ServerNotStarted: no such Space, it does not run, or its copy could not be started.
            CancelledError: what was started here is ended; a Space goes on.
        """
        return await launch.from_hub(cls, repo_id, use, options)

    async def open(self) -> None:
        """Connect and open a session; nothing happens when there is one. `connect` and `async with` do this.

        Raises:
            ConnectFailed: no server answered.
            CapacityError: every slot stayed taken for as long as the server lets clients wait.
            FactoryError: the environment could not be built.
            CancelledError: nothing is left behind on the server.
        """
        self._allowed("open", None)
        if self._channel is not None:
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

    def _watch(self, channel: Channel) -> None:
        # Weak: a client without a reference is to be collected, though its connection goes on.
        me = weakref.ref(self)

        def resumed() -> None:
            env = me()
            if env is not None and env._on_reconnect is not None:
                reconnect.tell(env._on_reconnect, env)

        channel.on_resumed = resumed

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
        channel = self._allowed("reset", timeout_s)
        if channel is not None and channel.retiring:
            channel = None  # its server is being replaced, and plays the old episode only
        self._busy = True
        try:
            try:
                result = await self._reset_on(channel or await self._open(), given, timeout_s)
            except (SessionLost, SessionBroken, ServerClosing):
                if channel is None:
                    raise
                # It had ended without this side knowing; a new episode takes nothing from it.
                result = await self._reset_on(await self._open(), given, timeout_s)
        finally:
            self._busy = False
        for text in result.warnings:
            warnings.warn(text, UserWarning, stacklevel=2)
        return result

    async def _reset_on(self, channel: Channel, arguments: dict[str, Any], timeout_s: float | None) -> StepResult[ObsT]:
        payload = PLAIN.encode_msgpack(arguments) if channel.native else PLAIN.encode_json(arguments)
        answer = await self._answer(channel, "reset", payload, timeout_s)
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
        channel = self._allowed("step", timeout_s)
        assert channel is not None  # only reset may go on without one
        self._busy = True
        try:
            payload = self._encode_action(channel.native, action)
            # As _answer, which costs two calls.
            return self._decode_result(channel, await channel.request("step", payload, timeout_s))
        except (SessionLost, SessionBroken, StepTimeout, asyncio.CancelledError) as exc:
            self._note(channel, exc)
            raise
        finally:
            self._busy = False

    async def state(self) -> StateT:
        """Read the episode's state; changes nothing.

        Raises:
            EnvironmentFailed: the environment raised; the session lives.
            SessionLost: the session is gone; only `reset` goes on.
        """
        channel = self._allowed("state", None)
        assert channel is not None  # as in step
        self._busy = True
        try:
            answer = await self._answer(channel, "state", b"", None)
            return self._decode_state(channel.native, answer.data)
        finally:
            self._busy = False

    async def run_episode(
        self,
        policy: Callable[[ObsT], ActT | Awaitable[ActT]],
        *,
        retries: int = 0,
        seed: int | None = None,
        episode_id: str | None = None,
        max_steps: int | None = None,
        timeout_s: float | None = None,
        **reset_kwargs: Any,
    ) -> Episode[ActT, ObsT]:
        """Play one episode from `reset()` to `done`.

        When an error's `fault` is the infrastructure's (docs/errors.md), the whole episode begins again in a
        fresh session, with the same arguments. It is logged and is in `episode.failures`. Nothing is begun
        again for what the task itself brings about: the environment raised, an action does not fit, the
        policy raised an error of any kind.

        Args:
            policy: takes an observation and returns the next action. An `async def` is awaited; a plain function
                runs on the event loop, so one that computes for long keeps other sessions waiting. An object
                with `__call__` may have a `reset()` too, which is called before each attempt.
            retries: how often an episode may be started over.
            seed: as in `reset`.
            episode_id: as in `reset`.
            max_steps: steps after which the episode is left as `truncated`; None: as many as it takes.
            timeout_s: seconds that the reset and each step may take.
            reset_kwargs: the environment's own arguments of `reset`; one that is named like an argument above
                cannot be passed.

        Raises:
            EnvError: the task's own failure, or the infrastructure's when no retry was left; its notes
                (`error.__notes__`) tell of earlier attempts.
            CancelledError: as with `step`; the session can be used.
        """
        arguments = {"seed": seed, "episode_id": episode_id, "timeout_s": timeout_s} | reset_kwargs
        steps = episodes.plan(self, policy, asyncio.sleep, arguments, retries, max_steps)
        with contextlib.closing(steps):
            return await episodes.play(steps)

    async def close(self) -> None:
        """End the session and, if this client owns one, the server. Safe to repeat.

        Returns when the server has run the environment's `close()`, or after some seconds.
        """
        if self._loop is not None and self._loop.is_closed():
            self._channel = None  # its connection went with its loop
        self._allowed("close", None)
        channel, self._channel, self._closed = self._channel, None, True
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
        channel, loop = self._channel, self._loop
        if channel is None or loop is None or loop.is_closed():
            return
        # Before the warning, which may be an error.
        loop.call_soon_threadsafe(channel.abandon)
        warnings.warn(f"{self!r} was not closed; use `async with` or await close()", ResourceWarning, stacklevel=2)

    # The rules of use.

    def _allowed(self, call: Call, timeout_s: float | None) -> Channel | None:
        """Check the rules of use, and return the channel; None where `reset` is to open another session."""
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
            return channel  # what nearly every call finds, without the rules one by one
        if channel is not None and self._lost is None:
            self._lost = channel.lost
        for rule in _RULES:
            if call in rule.refuses and rule.holds(self):
                raise self._refusal(rule, call)
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {timeout_s!r}")
        return channel if self._lost is None else None

    def _refusal(self, rule: Rule, call: Call) -> EnvError:
        if rule.error is not None:
            return rule.error(rule.text.format(call=call, client=type(self).__name__))
        assert self._lost is not None  # what the rule says
        # A copy: each caller raises its own.
        lost = type(self._lost)(self._lost.message, **self._lost.details)
        lost.session_id = self.session_id
        return lost

    def _is_elsewhere(self) -> bool:
        # What asyncio.get_running_loop() says, without the system call that it makes: one loop runs in one thread.
        loop = self._loop
        return loop is not None and not (threading.get_ident() == self._thread and loop.is_running())

    async def _answer(self, channel: Channel, kind: RequestKind, payload: bytes, timeout_s: float | None) -> Answer:
        try:
            return await channel.request(kind, payload, timeout_s)
        except (SessionLost, SessionBroken, StepTimeout, asyncio.CancelledError) as exc:
            self._note(channel, exc)
            raise

    def _note(self, channel: Channel, exc: BaseException) -> None:
        """Remember that the session is gone, so that nothing goes on without a reset; or give the call up."""
        if isinstance(exc, StepTimeout):
            if not exc.session_usable:
                text = "the session is broken: its environment did not come back from an earlier call; call reset()"
                self._lost = SessionBroken(text)
        elif isinstance(exc, EnvError):
            self._lost = exc
        else:
            channel.give_up()

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

    # Values.

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Return the JSON form of an action."""
        payload: dict[str, Any] = self._codecs.action.to_builtins(action)
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Make a result from `{"observation": {...}, "reward": ..., "done": ..., "metadata": ...}`."""
        return result_of(self._codecs.observation.from_ws_builtins(payload))

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Make a state from its JSON form."""
        state: StateT = self._codecs.state.from_builtins(payload)
        return state

    def _encode_action(self, native: bool, action: ActT) -> bytes:
        codec, value = self._codecs.action, action
        if type(self)._step_payload is not AsyncEnv._step_payload:
            payload: Any = self._step_payload(action)
            codec, value = PLAIN, payload
        return codec.encode_msgpack(value) if native else codec.encode_json(value)

    def _decode_result(self, channel: Channel, answer: Answer) -> StepResult[ObsT]:
        if type(self)._parse_result is not AsyncEnv._parse_result:
            result = self._parse_result(as_openenv(channel.native, answer.data))
            if isinstance(result, StepResult):
                result.session_id, result.request_id = channel.session_id, channel.request_id
                if answer.warnings:
                    result.warnings = answer.warnings
            return result
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

    def _decode_state(self, native: bool, data: bytes) -> StateT:
        if type(self)._parse_state is not AsyncEnv._parse_state:
            return self._parse_state(PLAIN.decode_msgpack(data) if native else PLAIN.decode_json(data))
        codec = self._codecs.state
        state: StateT = codec.decode_msgpack(data) if native else codec.decode_json(data)
        return state


EnvT = TypeVar("EnvT")


def same_object(env: EnvT, target: Any, options: ClientOptions) -> EnvT:
    """Return the object that `env.connect()` was called on.

    Raises:
        TypeError: it was given arguments; an object has had them already.
    """
    if target is not None or options:
        raise TypeError(f"connect() of a {type(env).__name__} that was made already takes no arguments")
    return env
