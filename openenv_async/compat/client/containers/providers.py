"""`openenv.core.containers.runtime.providers`: a server in a container, started and stopped by calls that block.

Owns OpenEnv's names and signatures. What happens with the engine is
`openenv_async.providers.docker`'s matter, and runs on the background loop.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from openenv_async.compat.client.dispatch import run_blocking
from openenv_async.compat.names.lazy import load
from openenv_async.errors import ServerNotStarted
from openenv_sync import process
from openenv_sync.loop import OWNER_EXIT_GRACE_S

if TYPE_CHECKING:
    from openenv_async.providers.base import BaseProvider

__all__ = ["ContainerProvider", "LocalDockerProvider", "RuntimeProvider"]

ENGINE_WAIT_S = 5.0
"""Seconds that the engine may take to say that it is there."""

_PASSED_ON: dict[str, tuple[str, tuple[type, ...]]] = {
    "volumes": ("volumes", (dict,)),
    "memory": ("memory", (int,)),
    "cpus": ("cpus", (int, float)),
    "network": ("network", (str,)),
    "container_port": ("container_port", (int,)),
    "timeout_s": ("start_timeout_s", (int, float)),
    "start_timeout_s": ("start_timeout_s", (int, float)),
}
"""Further arguments of `start_container`: what our provider calls them, and what they are. 0.10.0 uses none."""

_ABSENT = {
    "DockerSwarmProvider": "start the service with docker and give the client its base_url, or use LocalDockerProvider",
    "KubernetesProvider": "start the pod with kubectl and give the client its base_url, or use LocalDockerProvider",
}


class NotReady(RuntimeError, TimeoutError):
    """A server could not be started, or was not healthy in time: OpenEnv's providers raise the one or the other."""


class ContainerProvider(ABC):
    """Starts one container, and stops it. For subclasses; clients take anything with these methods."""

    @abstractmethod
    def start_container(
        self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a container and give its URL.

        Args:
            image: what to run.
            port: where to publish it; None lets the provider choose.
            env_vars: variables of the server.
            kwargs: the provider's own.

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
        """Free what the provider holds besides the container."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RuntimeProvider(ABC):
    """Starts one server that is no container, and stops it. For subclasses."""

    @abstractmethod
    def start(self, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any) -> str:
        """Start the server and give its URL."""

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

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LocalDockerProvider(ContainerProvider):
    """Runs an image on this machine's engine, on a port of the loopback address.

    Raises:
        RuntimeError: no engine answers.
    """

    def __init__(self) -> None:
        self._provider: Any = None
        run_blocking(_ask_engine, "LocalDockerProvider")

    def start_container(
        self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a container, pulling its image if need be, and give its URL once it is healthy.

        Args:
            image: e.g. `"my-env:latest"`; its server listens on port 8000.
            port: where to publish it; None: a free one.
            env_vars: variables of the server.
            kwargs: `volumes`, `memory` (bytes), `cpus`, `network`, `container_port`, `timeout_s` (60). Others warn.

        Raises:
            RuntimeError: it could not be started; nothing is left behind. Also a TimeoutError.
        """
        from openenv_async.providers import DockerProvider

        if self._provider is not None:
            raise RuntimeError("this provider has started a container already; call stop_container() first")
        provider = DockerProvider(image, port=port, env=env_vars, **_known(kwargs))
        url = start_blocking(provider)
        self._provider = provider
        return url

    def stop_container(self) -> None:
        """Stop the container and remove it; nothing happens when there is none."""
        provider, self._provider = self._provider, None
        if provider is not None:
            stop_blocking(provider)

    def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
        """Return when the server is healthy, as it is after `start_container`.

        Raises:
            TimeoutError: it is not after `timeout_s` seconds.
        """
        wait_blocking(base_url, timeout_s)


class AtExit:
    """Stops a provider when the interpreter exits before its owner did."""

    def __init__(self, provider: BaseProvider) -> None:
        self._provider = provider

    async def close(self) -> None:
        """Stop it."""
        await self._provider.stop()


_kept: dict[int, AtExit] = {}


def keep(provider: BaseProvider) -> None:
    """Have a provider stopped when the interpreter exits, unless it is forgotten before."""
    _kept[id(provider)] = ending = AtExit(provider)
    process.portal().hold(ending, OWNER_EXIT_GRACE_S)


def forget(provider: BaseProvider) -> None:
    """Leave a provider alone that has been stopped."""
    ending = _kept.pop(id(provider), None)
    if ending is not None:
        portal = process.current()
        if portal is not None:
            portal.let_go(ending)


def start_blocking(provider: BaseProvider) -> str:
    """Start a provider of ours from code that does not await.

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
    """Stop a provider of ours from code that does not await."""
    forget(provider)
    run_blocking(provider.stop, type(provider).__name__)


def wait_blocking(base_url: str, timeout_s: float) -> None:
    """Wait until a server is healthy.

    Raises:
        TimeoutError: it is not after `timeout_s` seconds.
    """
    from openenv_async.providers.base import wait_until_healthy

    async def alive() -> None:
        return None

    try:
        run_blocking(lambda: wait_until_healthy(base_url, timeout_s, alive), "wait_for_ready")
    except ServerNotStarted as exc:
        raise TimeoutError(str(exc)) from exc


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
    return load(sys.modules[__name__], name, {}, _ABSENT)
