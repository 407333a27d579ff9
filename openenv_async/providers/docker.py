"""A server in a container, through aiodocker: Docker, or podman's compatible socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio

from openenv_async.errors import ServerNotStarted
from openenv_async.providers.base import BaseProvider, wait_until_healthy
from openenv_async.providers.container_labels import LABEL, me, sweep

if TYPE_CHECKING:
    from aiodocker import Docker
    from aiodocker.containers import DockerContainer

STARTS_AT_ONCE = 4
"""Containers that one event loop starts at the same time; an engine that starts dozens at once times out on some."""

LOG_LINES = 40

_STARTING: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class DockerProvider(BaseProvider):
    """Runs an image and publishes its port on the loopback address.

    The container carries a label that names its owner, this process; `start()` of any
    provider removes containers whose owner has died.

    Args:
        image: the image; pulled when the engine does not have it.
        container_port: where the server listens inside.
        port: where to publish it here; None lets the engine find a free port.
        env: variables of the server.
        volumes: `{host path or volume name: path inside}`; append `:ro` to the latter for read-only.
        memory: bytes of memory it may use; None: no bound.
        cpus: processors it may use, e.g. 1.5; None: no bound.
        network: the network it joins; None: the engine's default.
        start_timeout_s: seconds until it must be healthy; None: `start()` does not wait for that.
        pull: pull even when the engine has the image.
    """

    def __init__(
        self,
        image: str,
        *,
        container_port: int = 8000,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        volumes: Mapping[str, str] | None = None,
        memory: int | None = None,
        cpus: float | None = None,
        network: str | None = None,
        start_timeout_s: float | None = 60.0,
        pull: bool = False,
    ) -> None:
        super().__init__()
        self._image = image
        self._container_port = container_port
        self._port = port
        self._env = dict(env or {})
        self._volumes = dict(volumes or {})
        self._memory = memory
        self._cpus = cpus
        self._network = network
        self._start_timeout_s = start_timeout_s
        self._pull = pull
        self._docker: Docker | None = None
        self._container: DockerContainer | None = None

    @property
    def container_id(self) -> str | None:
        """The container's id while it runs."""
        return None if self._container is None else str(self._container.id)

    async def start(self) -> str:
        import aiodocker
        import aiohttp

        if self._docker is not None:
            raise ServerNotStarted("this provider has started a container already; stop() it first")
        try:
            self._docker = aiodocker.Docker()
            async with _start_limit():
                await sweep(self._docker)
                await self._have_image()
                self._container = await self._docker.containers.create(self._config())
                await self._container.start()
            port = await self._published_port()
            url = f"http://127.0.0.1:{port}"
            if self._start_timeout_s is not None:
                await wait_until_healthy(url, self._start_timeout_s, self.still_alive)
        except ServerNotStarted as exc:
            exc.details.setdefault("logs", await self.logs())
            await self._undo()
            raise
        except (aiodocker.DockerError, aiohttp.ClientError, ValueError, OSError) as exc:
            await self._undo()
            raise _explain(self._image, exc) from exc
        except BaseException:
            await self._undo()
            raise
        return url

    async def _end(self) -> None:
        import aiodocker

        container, self._container = self._container, None
        docker, self._docker = self._docker, None
        try:
            if container is not None:
                # SIGTERM first: the server inside closes its environments.
                await container.stop(t=10)
                await container.delete(force=True, v=True)
        except aiodocker.DockerError as exc:
            if exc.status not in (404, 409):  # removed already, or being removed
                raise
        finally:
            if docker is not None:
                await docker.close()

    async def _undo(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(30):
            container = self._container
            if container is not None:
                # It has no sessions to close.
                await container.delete(force=True, v=True)
                self._container = None
            await self.stop()

    def _config(self) -> dict[str, Any]:
        exposed = f"{self._container_port}/tcp"
        host: dict[str, Any] = {
            "PortBindings": {exposed: [{"HostIp": "127.0.0.1", "HostPort": str(self._port or "")}]},
            "Binds": [f"{outside}:{inside}" for outside, inside in self._volumes.items()],
            "Init": True,
        }
        if self._memory is not None:
            host["Memory"] = host["MemorySwap"] = self._memory
        if self._cpus is not None:
            host["NanoCpus"] = int(self._cpus * 1e9)
        if self._network is not None:
            host["NetworkMode"] = self._network
        return {
            "Image": self._image,
            "Env": [f"{name}={value}" for name, value in self._env.items()],
            "ExposedPorts": {exposed: {}},
            "Labels": {LABEL: me()},
            "HostConfig": host,
        }

    async def _have_image(self) -> None:
        import aiodocker

        assert self._docker is not None  # start() made it
        if not self._pull:
            try:
                await self._docker.images.inspect(self._image)
                return
            except aiodocker.DockerError as exc:
                if exc.status != 404:
                    raise
        await self._docker.images.pull(self._image)

    async def _published_port(self) -> int:
        assert self._container is not None  # start() made it
        shown = await self._container.show()
        bindings = shown["NetworkSettings"]["Ports"].get(f"{self._container_port}/tcp") or []
        if not bindings:
            await self.still_alive()
            raise ServerNotStarted(f"the engine published no port for {self._image}; does its network allow that?")
        return int(bindings[0]["HostPort"])

    async def still_alive(self) -> None:
        """Check that the container runs.

        Raises:
            ServerNotStarted: it has ended.
        """
        assert self._container is not None  # start() made it
        state = (await self._container.show())["State"]
        if not state["Running"]:
            reason = "it ran out of memory" if state.get("OOMKilled") else f"exit code {state['ExitCode']}"
            text = f"the container of {self._image} ended before it was healthy ({reason})"
            raise ServerNotStarted(text, exit_code=state["ExitCode"])

    async def logs(self) -> str:
        """Return the last lines of the container's output."""
        import aiodocker

        if self._container is None:
            return ""
        try:
            return "".join(await self._container.log(stdout=True, stderr=True, tail=LOG_LINES))
        except aiodocker.DockerError:
            return ""


def _start_limit() -> asyncio.Semaphore:
    return _STARTING.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(STARTS_AT_ONCE))


def _explain(image: str, exc: Exception) -> ServerNotStarted:
    status = getattr(exc, "status", None)
    text = str(getattr(exc, "message", "") or exc)
    if isinstance(status, int) and status != 900:  # aiodocker's number for an engine that cannot be reached
        if status == 404 and "network" not in text:
            return ServerNotStarted(f"there is no image {image}, here or where it would be pulled from: {text}")
        return ServerNotStarted(f"the engine could not run {image}: {text}")
    where = os.environ.get("DOCKER_HOST", "its usual socket")
    if "ermission" in text:
        return ServerNotStarted(f"no permission to use the Docker engine at {where}; join the group `docker`: {text}")
    return ServerNotStarted(
        f"no Docker engine answers at {where}: {text}. Start one (`systemctl start docker`, Docker Desktop, or "
        "`systemctl --user start podman.socket`), or set DOCKER_HOST"
    )
