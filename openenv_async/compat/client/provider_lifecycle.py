"""Clients that own the server they play on: started when they connect, stopped when they close.

Takes OpenEnv's providers, which block (`start_container`, or `start`), and runs
them in a thread; and ours, whose `start` is awaited and returns the URL of a healthy
server.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from openenv_async.compat.client.sync_async import Deferred, DeferredCall, in_thread, run_blocking, running_loop
from openenv_async.compat.client.utils import hf_space_subdomain

EnvT = TypeVar("EnvT")

_START_ARGUMENTS = ("port", "env_vars", "workers")


class Bootstrap(Deferred[EnvT]):
    """A client whose server is not started yet.

    Starts it once: on `await`, on `.sync()`, in `with`, or when a method or attribute
    of the client is used. To await it, or call `.sync()`, a second time is an error.
    """

    def __init__(self, cls: type[EnvT], start: Callable[[], EnvT]) -> None:
        self._cls, self._start = cls, start
        self._coroutine: Coroutine[Any, Any, EnvT] | None = None
        self._used = False
        self._client: Any = None

    def close(self) -> Any:
        """Close the client that this has become; before that, do nothing, as `Coroutine.close` does."""
        if self._client is not None:
            return self._client.close()
        self._used = True
        if self._coroutine is not None:
            self._coroutine.close()
        return None

    def sync(self) -> Any:
        """Start the server, connect, and return the blocking client.

        Raises:
            RuntimeError: it was started before.
        """
        self._use_once()
        return self._blocking().sync()

    def __enter__(self) -> EnvT:
        client: EnvT = self._blocking_once()
        return client

    def __exit__(self, *exc: object) -> None:
        self._client.__exit__(*exc)

    async def __aenter__(self) -> EnvT:
        return await self._resolved()

    async def __aexit__(self, *exc: object) -> None:
        await self._client.__aexit__(*exc)

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_client") is not None:
            return getattr(self._client, name)
        # `hasattr` must not start anything, so the class is asked first.
        if name.startswith("_") or not hasattr(self._cls, name):
            raise AttributeError(f"{self._cls.__name__}, not started yet, has no attribute {name!r}")
        if running_loop() is None or not inspect.isfunction(getattr(self._cls, name)):
            return getattr(self._blocking_once(), name)

        def later(*args: Any, **kwargs: Any) -> DeferredCall[Any]:
            async def call() -> Any:
                outcome = getattr(await self._resolved(), name)(*args, **kwargs)
                return await outcome if inspect.isawaitable(outcome) else outcome

            return DeferredCall(f"{self._cls.__name__}.{name}", call, lambda: None, self._blocked, depth=2)

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
        started: list[Any] = []
        try:
            await in_thread(lambda: started.append(self._start()))
            await started[0].connect()
        except BaseException:
            # No caller will ever receive the client.
            for client in started:
                await client._close_quietly()
            raise
        self._client = started[0]
        connected: EnvT = started[0]
        return connected

    async def _resolved(self) -> EnvT:
        if self._client is None:
            await self._first()
        client: EnvT = self._client
        return client

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
        return self._blocking_once()._run_sync(make)


def start_container(cls: Any, image: str, provider: Any, options: dict[str, Any]) -> Any:
    """Start an image and return a client of this class that is not connected; blocks. Undone if that fails."""
    if provider is None:
        from openenv_async.compat.client.containers.providers import LocalDockerProvider

        provider = LocalDockerProvider()
    try:
        base_url = provider.start_container(image, **options)
        provider.wait_for_ready(base_url)
        return cls(base_url=base_url, provider=provider)
    except BaseException:
        provider.stop_container()
        raise


def start_space(cls: Any, repo_id: str, use_docker: bool, provider: Any, options: dict[str, Any]) -> Any:
    """Start a copy of a Space, from its image or with uv, and return a client that is not connected; blocks.

    Raises:
        ValueError: both a provider and options for creating one were passed.
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
        began = time.monotonic()
        base_url = provider.start(**starting)
        if limit_s is None:
            provider.wait_for_ready()
        else:
            provider.wait_for_ready(timeout_s=max(0.0, limit_s - (time.monotonic() - began)))
        return cls(base_url=base_url, provider=provider)
    except BaseException:
        provider.stop()
        raise


async def start_server(provider: Any) -> str:
    """Start a provider without arguments and return the server's URL once it is ready.

    Raises:
        ValueError: the provider cannot start without arguments.
        TypeError: the provider has no method to start it.
    """
    if hasattr(provider, "start_container"):
        missing = _required(provider.start_container)
        if missing:
            raise ValueError(
                f"{type(provider).__name__} does not support provider-owned startup because start_container() "
                f"requires {', '.join(missing)}. Start it yourself and pass base_url, or use from_docker_image()"
            )

        def start() -> str:
            url: str = provider.start_container()
            provider.wait_for_ready(url)
            return url

        return await in_thread(start)
    if not hasattr(provider, "start"):
        raise TypeError("provider must define start_container() or start().")
    if inspect.iscoroutinefunction(provider.start):
        url: str = await provider.start()
        return url

    def start_process() -> str:
        url: str = provider.start()
        provider.wait_for_ready()
        return url

    return await in_thread(start_process)


async def stop_server(provider: Any) -> None:
    """Stop a provider, if it has a method for that."""
    stop: Callable[[], Awaitable[None] | None] | None = getattr(
        provider, "stop_container", getattr(provider, "stop", None)
    )
    if stop is None:
        return
    if inspect.iscoroutinefunction(stop):
        await stop()
    else:
        await in_thread(stop)


def _required(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is inspect.Parameter.empty and each.kind not in variadic]
