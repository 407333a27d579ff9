"""`SyncEnv`: one session, stepped from code that does not await.

Owns the rules that only a blocking client needs: connecting on first use, who may
block where, what a fork and the interpreter's exit mean. What a call does is
`AsyncEnv`'s matter; `loop` carries it over.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

from openenv_async.client import AsyncEnv
from openenv_async.client.codecs import type_arguments
from openenv_async.client.episodes import plan
from openenv_async.client.launch import Provider
from openenv_async.client.options import WireChoice
from openenv_async.errors import ClientClosed
from openenv_async.results import Episode, StepResult
from openenv_sync import process
from openenv_sync.episodes import play
from openenv_sync.hooks import HOOKS, AnyAsyncEnv, inner_class, lend_hooks, tell_facade
from openenv_sync.loop import EXIT_GRACE_S, OWNER_EXIT_GRACE_S, Portal

EnvT = TypeVar("EnvT", bound="SyncEnv[Any, Any, Any]")


class Connect:
    """The descriptor behind the name."""

    def __get__(self, obj: EnvT | None, owner: type[EnvT]) -> Callable[..., EnvT]:
        """Give the one that fits how it was reached."""
        if obj is not None:
            return _Existing(obj)

        def connect(target: Any, **options: Any) -> EnvT:
            env = owner(target, **options)
            env.open()
            return env

        connect.__doc__ = "Make a client with the constructor's options, connect it and give it."
        return connect


class _Existing:
    """`env.connect`, which takes no target: the client has one."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __call__(self) -> Any:
        self._env.open()
        return self._env


T = TypeVar("T")

if TYPE_CHECKING:
    import typing_extensions

    # With defaults, so that `env = SyncEnv(url)` needs no annotation; at run time they are there from Python 3.13 on.
    ActT = typing_extensions.TypeVar("ActT", default=Any)
    ObsT = typing_extensions.TypeVar("ObsT", default=Any)
    StateT = typing_extensions.TypeVar("StateT", default=Any)
else:
    ActT, ObsT, StateT = TypeVar("ActT"), TypeVar("ObsT"), TypeVar("StateT")


class SyncEnv(Generic[ActT, ObsT, StateT]):
    """A session on an environment server, for scripts, notebooks and threads.

    Every method is `AsyncEnv`'s without `await`; see there for what each does and
    raises. Untyped, it takes dict actions and gives dict observations. A typed
    client is `class MyEnv(SyncEnv[MyAction, MyObservation, MyState])` and nothing more.

    All clients of a process share one background event loop. A client connects in
    `with`, in `connect()`, or else on its first call. It serves one call at a time;
    give each thread a client of its own. Ctrl-C ends a call and leaves the client
    usable. A process made by `fork` needs clients of its own.

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

    _inner_class: ClassVar[type[AnyAsyncEnv]] = AsyncEnv

    # Here and not only in __init__: a constructor that fails leaves an object that is collected all the same.
    _portal: Portal | None = None
    _on_reconnect: Callable[[Any], object] | None = None
    _closed = False
    _ready = False
    _playing = False

    if TYPE_CHECKING:

        @classmethod
        def connect(cls, target: Any = ..., **options: Any) -> Self:
            """Spell for type checkers what `Connect` does: they lose the type arguments in a descriptor."""
            return cls(target, **options)
    else:
        connect = Connect()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the async class that carries the type arguments and the overridden hooks."""
        super().__init_subclass__(**kwargs)
        hooks = [name for name in HOOKS if getattr(cls, name) is not getattr(SyncEnv, name)]
        cls._inner_class = inner_class(cls._inner_class, cls.__name__, type_arguments(cls, SyncEnv), hooks)

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
        self._inner: AsyncEnv[ActT, ObsT, StateT] = self._inner_class(
            base_url,
            connect_timeout_s=connect_timeout_s,
            message_timeout_s=message_timeout_s,
            max_message_size_mb=max_message_size_mb,
            headers=headers,
            provider=provider,
            token=token,
            wire=wire,
            queue_timeout_s=queue_timeout_s,
            ca_file=ca_file,
            ping_interval_s=ping_interval_s,
        )
        self._exit_grace_s = EXIT_GRACE_S if provider is None else OWNER_EXIT_GRACE_S
        lend_hooks(self._inner, self)

    @property
    def base_url(self) -> str | None:
        """The server's address as it was given or as the provider gave it; None for an app in process."""
        return self._inner.base_url

    @property
    def session_id(self) -> str | None:
        """The server's name for the session; None before `connect` and on the JSON wire."""
        return self._inner.session_id

    @property
    def on_reconnect(self) -> Callable[[Any], object] | None:
        """Called with this client each time its session goes on over a new connection; None: nobody is told.

        It runs on the background loop: a plain function must not block there or call this client, a coroutine
        function may await.
        """
        return self._on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, callback: Callable[[Any], object] | None) -> None:
        self._on_reconnect = callback
        self._inner.on_reconnect = None if callback is None else tell_facade

    @property
    def connected(self) -> bool:
        """A session is open and, as far as this side knows, alive; False in a process forked from its own."""
        return self._portal is not None and process.is_current(self._portal) and self._inner.connected

    @classmethod
    def from_docker_image(cls, image: str, **options: Any) -> Self:
        """Start a container of an image, connect to it, and own it: `close()` removes it."""
        return cls._start(AsyncEnv.from_docker_image, image, **options)

    @classmethod
    def from_hub(cls, repo_id: str, *, use: Literal["space", "docker", "local"] = "space", **options: Any) -> Self:
        """Play a Space of the Hugging Face Hub: where it runs, from its image, or served here from its repository."""
        return cls._start(AsyncEnv.from_hub, repo_id, use=use, **options)

    def open(self) -> None:
        """Connect and open a session; nothing happens when there is one. `connect`, `with` and a first call do this."""
        self._usable_portal("open").call(self._open)

    def reset(
        self, *, seed: int | None = None, episode_id: str | None = None, timeout_s: float | None = None, **kwargs: Any
    ) -> StepResult[ObsT]:
        """Begin an episode; the only call that may open a new session in place of one that was lost."""
        return self._call("reset", self._inner.reset, seed=seed, episode_id=episode_id, timeout_s=timeout_s, **kwargs)

    def step(self, action: ActT, *, timeout_s: float | None = None) -> StepResult[ObsT]:
        """Play one action, exactly once."""
        return self._call("step", self._inner.step, action, timeout_s=timeout_s)

    def state(self) -> StateT:
        """Read the episode's state; changes nothing."""
        return self._call("state", self._inner.state)

    def run_episode(
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
        """Play one episode from `reset()` to `done`, started over when the infrastructure fails under it.

        A plain policy runs in the thread that calls, an `async def` one on the background loop.
        """
        arguments = {"seed": seed, "episode_id": episode_id, "timeout_s": timeout_s} | reset_kwargs
        settle = self._usable_portal("run_episode").call
        return play(plan(self, policy, time.sleep, arguments, retries, max_steps), settle)

    def close(self) -> None:
        """End the session and, if this client owns one, the server. Safe to repeat.

        In a process forked from its own it does nothing: the session is the parent's.
        """
        portal = self._portal
        if portal is not None and process.is_current(portal):
            self._check_thread("close")
            self._closed = True
            portal.call(self._inner.close)
            portal.let_go(self._inner)
        self._closed, self._portal = True, None

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Give the JSON form of an action. May be overridden, as in OpenEnv; runs on the background loop."""
        return AsyncEnv._step_payload(self._inner, action)

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Make a result from `{"observation": {...}, "reward": ..., "done": ...}`. May be overridden, as in OpenEnv."""
        return AsyncEnv._parse_result(self._inner, payload)

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Make a state from its JSON form. May be overridden, as in OpenEnv."""
        return AsyncEnv._parse_state(self._inner, payload)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        portal = self._portal
        if portal is None or not process.is_current(portal):
            return
        connected = self._inner.connected
        portal.abandon(self._inner)
        if connected:
            text = f"unclosed {type(self).__name__} of {self.base_url or 'an app in process'}; use `with` or close()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    def _call(self, name: str, func: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
        # Positional: reset takes arguments of any name.
        portal = self._usable_portal(name)
        if not self._ready:
            portal.call(self._open)
        return portal.call(func, *args, **kwargs)

    def _leave_session(self) -> None:
        self._usable_portal("run_episode").call(self._inner._leave_session)

    def _usable_portal(self, name: str) -> Portal:
        self._check_thread(name)
        if self._closed:
            raise ClientClosed(f"{name}() came after close(); make a new {type(self).__name__}")
        portal = self._portal
        if portal is None:
            portal = process.portal()
            self._stand_on(portal)
        elif not process.is_current(portal):
            process.refuse_foreign(portal, type(self).__name__)
        return portal

    def _stand_on(self, portal: Portal) -> None:
        self._portal = portal
        portal.hold(self._inner, self._exit_grace_s)

    @classmethod
    def _check_thread(cls, name: str) -> None:
        if asyncio._get_running_loop() is not None:
            process.refuse_running_loop(f"{cls.__name__}.{name}()")

    @classmethod
    def _start(cls, method: Any, /, *args: Any, **options: Any) -> Self:
        """Run a classmethod of `AsyncEnv` that makes a client, as if this class were the async one."""
        cls._check_thread(method.__name__)
        portal = process.portal()
        made: list[Self] = []

        def make(**own: Any) -> AnyAsyncEnv:
            env = cls(**own)
            env._stand_on(portal)
            made.append(env)
            return env._inner

        portal.call(method.__func__, make, *args, **options)
        made[0]._ready = True
        return made[0]

    async def _open(self) -> None:
        await self._inner.open()
        self._ready = True  # on the loop, where no signal comes in between
