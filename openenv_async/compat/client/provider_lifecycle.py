"""A client that owns the server it plays on: started when it connects, stopped when it closes.

Takes OpenEnv's providers, which block (`start_container`, or `start`), and runs
them in a thread; and ours, whose `start` is awaited and gives a healthy server.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from openenv_async.compat.client.deferred_call import Call
from openenv_async.compat.client.sync_async import in_thread, run_blocking, running_loop
from openenv_async.compat.client.utils import hf_space_subdomain

EnvT = TypeVar("EnvT")

_START_ARGUMENTS = ("port", "env_vars", "workers")


class Bootstrap(Coroutine[Any, Any, EnvT], Generic[EnvT]):
    """A client whose server is not started yet.

    Starts it once: on `await`, on `.sync()`, in `with`, or when a method or attribute
    of the client is used. To await it, or call `.sync()`, a second time is an error.
    """

    def __init__(self, cls: type[EnvT], start: Callable[[], EnvT]) -> None:
        self._cls, self._start = cls, start
        self._coroutine: Coroutine[Any, Any, EnvT] | None = None
        self._used = False
        self._client: Any = None

    def __await__(self) -> Generator[Any, Any, EnvT]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        """See `Coroutine.send`."""
        return self._begun().send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None) -> Any:
        """See `Coroutine.throw`."""
        error = typ if isinstance(typ, BaseException) else val if isinstance(val, BaseException) else typ()
        return self._begun().throw(error if tb is None else error.with_traceback(tb))

    def close(self) -> Any:
        """End the client that this has become; before that, do nothing, as `Coroutine.close` does."""
        if self._client is not None:
            return self._client.close()
        self._used = True
        if self._coroutine is not None:
            self._coroutine.close()
        return None

    def sync(self) -> Any:
        """Start the server, connect, and give the blocking client.

        Raises:
            RuntimeError: it was started before.
        """
        self._use_once()
        return self._blocking().sync()

    def __enter__(self) -> EnvT:
        client: EnvT = self._blocking_once()
        return client

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, exc, trace)

    async def __aenter__(self) -> EnvT:
        return await self._resolved()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, exc, trace)

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_client") is not None:
            return getattr(self._client, name)
        # Whether the client has such a name is known without starting anything for whoever only looks.
        if name.startswith("_") or not hasattr(self._cls, name):
            raise AttributeError(f"{self._cls.__name__}, not started yet, has no attribute {name!r}")
        if running_loop() is None or not inspect.isfunction(getattr(self._cls, name)):
            return getattr(self._blocking_once(), name)

        def later(*args: Any, **kwargs: Any) -> Call[Any]:
            async def call() -> Any:
                outcome = getattr(await self._resolved(), name)(*args, **kwargs)
                return await outcome if inspect.isawaitable(outcome) else outcome

            return Call(f"{self._cls.__name__}.{name}", call, lambda: None, self._blocked, depth=2)

        return later

    def __del__(self) -> None:
        if not self.__dict__.get("_used", True):
            text = f"a {self._cls.__name__} with a server of its own was made and never used, so nothing was started"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        if self._client is not None:
            return repr(self._client)
        return f"<{self._cls.__name__} not started: await it, call .sync(), or use it>"

    def _use_once(self) -> None:
        if self._used:
            raise RuntimeError(
                "This bootstrap handle has already been resolved; call the factory again to start a new environment."
            )
        self._used = True

    def _begun(self) -> Coroutine[Any, Any, EnvT]:
        if self._coroutine is None:
            self._coroutine = self._first()
        return self._coroutine

    async def _first(self) -> EnvT:
        self._use_once()
        return await self._connected()

    async def _resolved(self) -> EnvT:
        if self._client is None:
            await self._first()
        client: EnvT = self._client
        return client

    async def _connected(self) -> EnvT:
        started: list[EnvT] = []
        client: Any = None
        try:
            await in_thread(lambda: started.append(self._start()))
            client = started[0]
            await client.connect()
        except BaseException:
            # Nobody else has the client, nor ever will.
            if client is None and started:
                client = started[0]
            if client is not None:
                await client._close_quietly()
            raise
        self._client = client
        connected: EnvT = client
        return connected

    def _blocking_once(self) -> Any:
        if self._client is None:
            self._use_once()
            self._blocking()
        return self._client

    def _blocking(self) -> Any:
        client: Any = self._start()
        try:
            client._run_sync(client._connect_async)
        except BaseException:
            run_blocking(client._close_quietly, type(client).__name__)
            raise
        self._client = client
        return client

    def _blocked(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        client = self._blocking_once()
        return client._run_sync(make)


class Starting:
    """The half of a client that is made with a server of its own."""

    @classmethod
    def from_docker_image(cls, image: str, provider: Any = None, **kwargs: Any) -> Bootstrap[Self]:
        """Start a container of an image, connect to it, and own it: `close()` removes it.

        Gives what can be awaited for the client, asked for `.sync()`, or used as the client right away.

        Args:
            image: e.g. `"my-env:latest"`.
            provider: starts the container; None: Docker on this machine.
            kwargs: what the provider's `start_container` takes: `port`, `env_vars`.
        """
        return Bootstrap(cls, lambda: start_container(cls, image, provider, kwargs))

    @classmethod
    def from_env(
        cls, repo_id: str, *, use_docker: bool = True, provider: Any = None, **provider_kwargs: Any
    ) -> Bootstrap[Self]:
        """Start a copy of a Space of the Hugging Face Hub here, connect to it, and own it.

        Args:
            repo_id: `"org/name"`.
            use_docker: run its image from the Hub's registry; False: clone its repository and run that with uv.
            provider: starts it; None: Docker or uv on this machine.
            provider_kwargs: what the provider takes: `port`, `env_vars`, `workers`, `tag`, `project_path` and so on.
        """
        return Bootstrap(cls, lambda: start_space(cls, repo_id, use_docker, provider, dict(provider_kwargs)))

    @classmethod
    def from_hub(
        cls, repo_id: str, *, use_docker: bool = True, provider: Any = None, **provider_kwargs: Any
    ) -> Bootstrap[Self]:
        """Do what `from_env` does; the name of earlier releases."""
        return cls.from_env(repo_id, use_docker=use_docker, provider=provider, **provider_kwargs)


def start_container(cls: type[EnvT], image: str, provider: Any, options: dict[str, Any]) -> EnvT:
    """Start an image and give a client that is not connected; blocks. Undone if that fails."""
    if provider is None:
        from openenv_async.compat.client.containers.providers import LocalDockerProvider

        provider = LocalDockerProvider()
    try:
        base_url = provider.start_container(image, **options)
        provider.wait_for_ready(base_url)
        return _owner(cls, base_url, provider)
    except BaseException:
        provider.stop_container()
        raise


def start_space(cls: type[EnvT], repo_id: str, use_docker: bool, provider: Any, options: dict[str, Any]) -> EnvT:
    """Start a copy of a Space here, from its image or with uv, and give a client that is not connected; blocks.

    Raises:
        ValueError: a provider was given, and options for making one.
    """
    if use_docker:
        image = f"registry.hf.space/{hf_space_subdomain(repo_id)}:{options.pop('tag', 'latest')}"
        return start_container(cls, image, provider, options)
    starting = {name: options.pop(name) for name in _START_ARGUMENTS if name in options}
    if provider is None:
        from openenv_async.compat.client.containers.uv_provider import UVProvider

        source = options.pop("project_path", None) or f"git+https://huggingface.co/spaces/{repo_id}"
        provider = UVProvider(project_path=source, **options)
    elif options:
        raise ValueError("provider_kwargs cannot be used when supplying a provider instance")
    try:
        limit_s = getattr(provider, "context_timeout_s", None)
        began = time.monotonic() if limit_s is not None else 0.0
        base_url = provider.start(**starting)
        if limit_s is None:
            provider.wait_for_ready()
        else:
            provider.wait_for_ready(timeout_s=max(0.0, limit_s - (time.monotonic() - began)))
        return _owner(cls, base_url, provider)
    except BaseException:
        provider.stop()
        raise


def _owner(cls: type[EnvT], base_url: str, provider: Any) -> EnvT:
    make: Any = cls
    client: EnvT = make(base_url=base_url, provider=provider)
    return client


class Owning:
    """The half of a client that knows its provider."""

    _provider: Any
    _base_url: str | None
    _ws_url: str | None
    _start_provider_on_connect: bool
    _provider_stopped = False
    _provider_cleanup_pending = False

    def _set_base_url(self, base_url: str) -> None:
        raise NotImplementedError  # the client's own

    async def _start_provider_if_needed(self) -> None:
        """Start the provider if there is no address yet.

        Raises:
            RuntimeError: nothing to start, or an earlier server could not be stopped.
            ValueError: the provider cannot start without arguments.
            TypeError: it is none.
        """
        if self._provider_cleanup_pending:
            if not self._start_provider_on_connect:
                raise RuntimeError(
                    "Provider cleanup is pending for this client with an existing base URL: the last close() could "
                    "not stop its server. Call close() again, then make a new client"
                )
            await self._stop_provider()
        if self._ws_url is not None:
            return
        if self._provider is None:
            raise RuntimeError("EnvClient has no base URL or provider.")
        self._set_base_url(await self._started())

    async def _started(self) -> str:
        provider = self._provider
        if hasattr(provider, "start_container"):
            missing = _required(provider.start_container)
            if missing:
                raise ValueError(
                    f"{type(provider).__name__} does not support provider-owned startup because start_container() "
                    f"requires {', '.join(missing)}. Start it yourself and pass base_url, or use from_docker_image()"
                )
            self._provider_stopped = False

            def start() -> str:
                url: str = provider.start_container()
                provider.wait_for_ready(url)
                return url

            return await in_thread(start)
        if not hasattr(provider, "start"):
            raise TypeError("provider must define start_container() or start().")
        self._provider_stopped = False
        if inspect.iscoroutinefunction(provider.start):
            url: str = await provider.start()
            return url

        def start_process() -> str:
            url: str = provider.start()
            provider.wait_for_ready()
            return url

        return await in_thread(start_process)

    async def _stop_provider(self) -> None:
        """Stop the provider, once; one that could not be stopped is tried again by the next call."""
        try:
            provider = self._provider
            stop: Callable[[], Awaitable[None] | None] | None = getattr(
                provider, "stop_container", getattr(provider, "stop", None)
            )
            if provider is None or self._provider_stopped or stop is None:
                return
            self._provider_cleanup_pending = True
            if inspect.iscoroutinefunction(stop):
                await stop()
            else:
                await in_thread(stop)
            self._provider_cleanup_pending, self._provider_stopped = False, True
        finally:
            if self._start_provider_on_connect:
                self._base_url = self._ws_url = None


def _required(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is inspect.Parameter.empty and each.kind not in named]
