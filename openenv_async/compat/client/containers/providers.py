"""`openenv.core.containers.runtime.providers`: a server in a container, started and stopped by calls that block.

Owns OpenEnv's names and signatures. What happens with the engine is
`openenv_async.providers.docker`'s matter, and runs on the background loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
import warnings
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from openenv_async.compat.client.containers.blocking import NotReady, start_blocking, stop_blocking, wait_blocking
from openenv_async.compat.client.sync_async import run_blocking
from openenv_async.compat.names.lazy import load
from openenv_async.errors import ServerNotStarted

if TYPE_CHECKING:
    from openenv_async.providers import DockerProvider

__all__ = ["ContainerProvider", "LocalDockerProvider", "RuntimeProvider"]

PATIENCE_S = 60.0
"""Seconds that `start_container` waits for a server to be healthy."""

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
        """Start a container, pulling its image if need be, and give its URL.

        Waits until the server is healthy, but no more than 60 seconds: one that takes longer is `wait_for_ready`'s.

        Args:
            image: e.g. `"my-env:latest"`; its server listens on port 8000.
            port: where to publish it; None: a free one.
            env_vars: variables of the server.
            kwargs: `volumes`, `memory` (bytes), `cpus`, `network`, `container_port`, and `timeout_s`, after which a
                server that is not healthy is given up. Others warn.

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
        """Stop the container and remove it; nothing happens when there is none."""
        provider, self._provider = self._provider, None
        name, self._container_id, self._container_name = self._container_id, None, None
        if provider is not None:
            stop_blocking(provider)
        elif name is not None:
            run_blocking(lambda: _remove(name), "LocalDockerProvider")

    def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
        """Return when the server is healthy.

        Raises:
            TimeoutError: it is not after `timeout_s` seconds, or its container has ended.
        """
        if self._provider is not None:
            wait_blocking(base_url, timeout_s, self._provider.still_alive)
        else:
            wait_blocking(base_url, timeout_s)

    def _find_available_port(self) -> int:
        """Find a port that nobody listens on."""
        from openenv_async.providers.base import free_port

        return free_port()

    def _generate_container_name(self, image: str) -> str:
        """Make up a name for a container of this image."""
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
    """Stop and remove a container that is not of our starting."""
    import aiodocker

    docker = aiodocker.Docker()
    try:
        container = docker.containers.container(name)
        await container.stop(t=10)
        await container.delete(force=True, v=True)
    except aiodocker.DockerError as exc:
        if exc.status not in (404, 409):  # gone already, or being removed by somebody else
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
    return load(sys.modules[__name__], name, {}, _ABSENT)
