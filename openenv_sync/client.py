"""`SyncEnv`: one session, stepped from code that does not await.

Owns the rules that only a blocking client needs: connecting on first use, which thread may
block, what a fork and the interpreter's exit mean. What a call does is in
`AsyncEnv`; `loop` runs it.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack

from openenv_async.client import AsyncEnv, launch
from openenv_async.client.codecs import type_arguments
from openenv_async.client.env import either_method, same_object
from openenv_async.client.episodes import plan
from openenv_async.client.options import ClientOptions, with_client_options
from openenv_async.errors import ClientClosed
from openenv_async.results import Episode, StepResult
from openenv_sync import process
from openenv_sync.episodes import play
from openenv_sync.hooks import HOOKS, AnyAsyncEnv, inner_class, lend_hooks, tell_facade
from openenv_sync.loop import EXIT_GRACE_S, OWNER_EXIT_GRACE_S, Portal

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
    raises. Untyped, it takes dict actions and returns dict observations. A typed
    client is `class MyEnv(SyncEnv[MyAction, MyObservation, MyState])` and nothing more.

    All clients of a process share one background event loop. A client connects in
    `with`, in `connect()`, or else on its first call. It serves one call at a time;
    give each thread a client of its own. Ctrl-C ends a call and leaves the client
    usable. A process made by `fork` needs clients of its own.

    Args:
        base_url: `http(s)://`, `ws(s)://`, `host:port`, `unix:/path`, or an Environment
            class or ASGI app, which is then played in process.
        options: see `ClientOptions`.

    Raises:
        ValueError: neither `base_url` nor `provider`, or an option that makes no sense.
        TypeError: an unknown option.
    """

    _inner_class: ClassVar[type[AnyAsyncEnv]] = AsyncEnv

    # Here and not only in __init__: a constructor that fails leaves an object that is collected all the same.
    _portal: Portal | None = None
    _on_reconnect: Callable[[Any], object] | None = None
    _closed = False
    _ready = False
    _playing = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the async class that carries the type arguments and the overridden hooks."""
        super().__init_subclass__(**kwargs)
        hooks = [name for name in HOOKS if getattr(cls, name) is not getattr(SyncEnv, name)]
        cls._inner_class = inner_class(cls._inner_class, cls.__name__, type_arguments(cls, SyncEnv), hooks)

    @with_client_options
    def __init__(self, base_url: Any = None, **options: Unpack[ClientOptions]) -> None:
        self._inner: AsyncEnv[ActT, ObsT, StateT] = self._inner_class(base_url, **options)
        self._exit_grace_s = EXIT_GRACE_S if options.get("provider") is None else OWNER_EXIT_GRACE_S
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
        """Called with this client each time its session continues over a new connection; None: nothing is called.

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

    @either_method
    @with_client_options
    def connect(cls, target: Any = None, **options: Unpack[ClientOptions]) -> Self:
        """Make a client with the constructor's arguments, connect it and return it.

        On an object, as OpenEnv has it, it takes no arguments and is `open()`.
        """
        env = cls(target, **options) if isinstance(cls, type) else same_object(cls, target, options)
        env.open()
        return env

    @classmethod
    def from_docker_image(cls, image: str, **options: Any) -> Self:
        """Start a container of an image, connect to it, and own it: `close()` removes it."""
        return cls._start("from_docker_image", launch.from_docker_image, image, options)

    @classmethod
    def from_hub(cls, repo_id: str, *, use: launch.Use = "space", **options: Any) -> Self:
        """Play a Space of the Hugging Face Hub: where it runs, from its image, or served here from its repository."""
        return cls._start("from_hub", launch.from_hub, repo_id, use, options)

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
        """Return the JSON form of an action. May be overridden, as in OpenEnv; runs on the background loop."""
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
    def _start(cls, name: str, launcher: Callable[..., Awaitable[AnyAsyncEnv]], *args: Any) -> Self:
        """Run a function of `launch`, which makes and connects a client, with this class as the client's."""
        cls._check_thread(name)
        portal = process.portal()
        made: list[Self] = []

        def make(**own: Any) -> AnyAsyncEnv:
            env = cls(**own)
            env._stand_on(portal)
            made.append(env)
            return env._inner

        portal.call(launcher, make, *args)
        made[0]._ready = True
        return made[0]

    async def _open(self) -> None:
        await self._inner.open()
        self._ready = True  # on the loop, where no signal comes in between
