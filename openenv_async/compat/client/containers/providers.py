"""`openenv.core.containers.runtime.providers`: a server in a container, started and stopped by calls that block.

Owns OpenEnv's names and signatures; `openenv_async.providers.docker` talks to the
engine, on the background loop. A server that was started is stopped when the
interpreter exits before its owner did.
"""

from __future__ import annotations

import asyncio
import sys
import time
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from openenv_async.compat.client.sync_async import run_blocking
from openenv_async.compat.names import load
from openenv_async.errors import ServerNotStarted
from openenv_sync import process
from openenv_sync.loop import OWNER_EXIT_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openenv_async.providers.base import BaseProvider

if TYPE_CHECKING:
    from openenv_async.providers import DockerProvider


class NotReady(RuntimeError, TimeoutError):
    """A server could not be started, or was not healthy in time: OpenEnv's providers raise either type."""


class AtExit:
    """Stops a provider when the interpreter exits before its owner stopped it."""

    def __init__(self, provider: BaseProvider) -> None:
        self._provider = provider

    async def close(self) -> None:
        """Stop the provider."""
        await self._provider.stop()


_kept: dict[int, AtExit] = {}


def keep(provider: BaseProvider) -> None:
    """Stop a provider when the interpreter exits, unless `forget` is called before."""
    _kept[id(provider)] = ending = AtExit(provider)
    process.portal().hold(ending, OWNER_EXIT_GRACE_S)


def forget(provider: BaseProvider) -> None:
    """Cancel `keep` for a provider that has been stopped."""
    ending = _kept.pop(id(provider), None)
    if ending is not None:
        portal = process.current()
        if portal is not None:
            portal.let_go(ending)


def start_blocking(provider: BaseProvider) -> str:
    """Start a provider of `openenv_async.providers` from code that does not await.

    Raises:
        NotReady: it could not be started.
    """
    try:
        url = run_blocking(provider.start, type(provider).__name__)
    except ServerNotStarted as exc:
        raise NotReady(str(exc)) from exc
    keep(provider)
    return url


def stop_blocking(provider: BaseProvider) -> None:
    """Stop a provider of `openenv_async.providers` from code that does not await."""
    forget(provider)
    run_blocking(provider.stop, type(provider).__name__)


async def _not_checked() -> None:
    """Stand for a server whose process or container is not known."""


def wait_blocking(base_url: str, timeout_s: float, still_alive: Callable[[], Awaitable[None]] = _not_checked) -> None:
    """Wait until a server is healthy.

    Args:
        base_url: where it is.
        timeout_s: seconds in all.
        still_alive: raises `ServerNotStarted` when the server has ended.

    Raises:
        TimeoutError: it is not after `timeout_s` seconds.
    """
    from openenv_async.providers.base import wait_until_healthy

    try:
        run_blocking(lambda: wait_until_healthy(base_url, timeout_s, still_alive), "wait_for_ready")
    except ServerNotStarted as exc:
        raise NotReady(str(exc)) from exc


__all__ = ["ContainerProvider", "LocalDockerProvider", "RuntimeProvider"]

PATIENCE_S = 60.0
"""Seconds that `start_container` waits for a server to be healthy."""

ENGINE_WAIT_S = 5.0
"""Seconds that the engine may take to answer."""

_PASSED_ON: dict[str, tuple[str, tuple[type, ...]]] = {
    "volumes": ("volumes", (dict,)),
    "memory": ("memory", (int,)),
    "cpus": ("cpus", (int, float)),
    "network": ("network", (str,)),
    "container_port": ("container_port", (int,)),
    "timeout_s": ("start_timeout_s", (int, float)),
    "start_timeout_s": ("start_timeout_s", (int, float)),
}
"""Further arguments of `start_container`, with their names and types in `DockerProvider`. 0.10.0 uses none."""

ABSENT = {
    "DockerSwarmProvider": "start the service with docker and give the client its base_url, or use LocalDockerProvider",
    "KubernetesProvider": "start the pod with kubectl and give the client its base_url, or use LocalDockerProvider",
}


class ContainerProvider(ABC):
    """Starts one container, and stops it. For subclasses; clients take anything with these methods."""

    @abstractmethod
    def start_container(
        self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a container and return its URL.

        Args:
            image: the image to run.
            port: where to publish it; None lets the provider choose.
            env_vars: variables of the server.
            kwargs: further arguments of the provider.

        Raises:
            RuntimeError: it could not be started.
        """

    @abstractmethod
    def stop_container(self) -> None:
        """Stop the container and remove it; nothing happens when there is none."""

    @abstractmethod
    def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
        """Return when the server is healthy.

        Raises:
            TimeoutError: it is not after `timeout_s` seconds.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free resources that the provider holds besides the container."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RuntimeProvider(ABC):
    """Starts one server that is not a container, and stops it. For subclasses."""

    @abstractmethod
    def start(self, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any) -> str:
        """Start the server and return its URL."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server; nothing happens when there is none."""

    @abstractmethod
    def wait_for_ready(self, timeout_s: float = 30.0) -> None:
        """Return when the server is healthy.

        Raises:
            TimeoutError: it is not after `timeout_s` seconds.
        """

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class LocalDockerProvider(ContainerProvider):
    """Runs an image on this machine's engine, on a port of the loopback address.

    Subclasses that start a container of their own with the `docker` command leave its id in `_container_id`.

    Raises:
        RuntimeError: no engine answers.
    """

    _provider: DockerProvider | None = None
    _container_id: str | None = None
    _container_name: str | None = None

    def __init__(self) -> None:
        run_blocking(_ask_engine, "LocalDockerProvider")

    def start_container(
        self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a container, pulling its image if need be, and return its URL.

        Waits until the server is healthy, but at most 60 seconds; `wait_for_ready` waits longer.

        Args:
            image: e.g. `"my-env:latest"`; its server listens on port 8000.
            port: where to publish it; None: a free one.
            env_vars: variables of the server.
            kwargs: `volumes`, `memory` (bytes), `cpus`, `network`, `container_port`, and `timeout_s`, after which
                starting fails if the server is not healthy. Others warn.

        Raises:
            RuntimeError: it could not be started, or has ended; nothing is left behind. Also a TimeoutError.
        """
        from openenv_async.providers import DockerProvider

        if self._provider is not None:
            raise RuntimeError("this provider has started a container already; call stop_container() first")
        provider = DockerProvider(image, port=port, env=env_vars, **{"start_timeout_s": None} | _known(kwargs))
        url = start_blocking(provider)
        self._provider, self._container_id = provider, provider.container_id
        try:
            wait_blocking(url, PATIENCE_S, provider.still_alive)
        except NotReady:
            self._raise_if_ended(provider)
        except BaseException:
            self.stop_container()
            raise
        return url

    def _raise_if_ended(self, provider: DockerProvider) -> None:
        try:
            run_blocking(provider.still_alive, "LocalDockerProvider")
        except ServerNotStarted as exc:
            logs = run_blocking(provider.logs, "LocalDockerProvider")
            self.stop_container()
            raise NotReady(f"{exc}\n{logs}".rstrip()) from exc

    def stop_container(self) -> None:
        provider, self._provider = self._provider, None
        name, self._container_id, self._container_name = self._container_id, None, None
        if provider is not None:
            stop_blocking(provider)
        elif name is not None:
            run_blocking(lambda: _remove(name), "LocalDockerProvider")

    def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
        if self._provider is not None:
            wait_blocking(base_url, timeout_s, self._provider.still_alive)
        else:
            wait_blocking(base_url, timeout_s)

    def _find_available_port(self) -> int:
        """Return a port that is free now."""
        from openenv_async.providers.base import free_port

        return free_port()

    def _generate_container_name(self, image: str) -> str:
        """Return a name for a container of this image."""
        return f"{image.rpartition('/')[2].partition(':')[0]}-{time.time_ns() // 1_000_000}"


def _known(options: dict[str, Any]) -> dict[str, Any]:
    known = {}
    for name, value in options.items():
        ours, kinds = _PASSED_ON.get(name, (name, ()))
        if isinstance(value, kinds):
            known[ours] = value
        else:
            text = f"LocalDockerProvider does not use {name}={value!r}; it takes {', '.join(_PASSED_ON)}"
            warnings.warn(text, UserWarning, stacklevel=4)
    return known


async def _remove(name: str) -> None:
    """Stop and remove a container that a subclass started."""
    import aiodocker

    docker = aiodocker.Docker()
    try:
        container = docker.containers.container(name)
        await container.stop(t=10)
        await container.delete(force=True, v=True)
    except aiodocker.DockerError as exc:
        if exc.status not in (404, 409):  # removed already, or being removed
            raise
    finally:
        await docker.close()


async def _ask_engine() -> None:
    import aiodocker

    try:
        docker = aiodocker.Docker()
        try:
            async with asyncio.timeout(ENGINE_WAIT_S):
                await docker.version()
        finally:
            await docker.close()
    except Exception as exc:
        raise RuntimeError(
            f"Docker is not available: no engine answers ({exc or type(exc).__name__}). Install Docker Desktop or "
            "Docker Engine, start it, or set DOCKER_HOST"
        ) from exc


def __getattr__(name: str) -> Any:
    return load(sys.modules[__name__], name, {}, ABSENT)
