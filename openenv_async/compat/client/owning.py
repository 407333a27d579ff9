"""A client that owns the server it plays on: started when it connects, stopped when it closes.

Takes OpenEnv's providers, which block (`start_container`, or `start`), and runs
them in a thread; and ours, whose `start` is awaited and gives a healthy server.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from openenv_async.compat.client.dispatch import in_thread


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
