"""Finds the container engine: Docker, or podman's socket that speaks the same API.

`DOCKER_HOST` and docker's contexts decide, as they do for docker itself; otherwise the
first of the usual sockets that answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from openenv_async.images.errors import EngineUnavailable

ANSWER_TIMEOUT_S = 10.0


@contextlib.asynccontextmanager
async def open_engine() -> AsyncIterator[Docker]:
    """Open a connection to the engine that answers; it is closed at the end.

    Raises:
        EngineUnavailable: none answered. The message says what to start, or who may use it.
    """
    address = await find_engine()
    docker = Docker(url=address)
    try:
        yield docker
    finally:
        await docker.close()


async def find_engine() -> str | None:
    """Return the address of an engine that answers; `None` when docker's current context names it.

    Raises:
        EngineUnavailable: none answered.
    """
    host = os.environ.get("DOCKER_HOST")
    if host:
        if problem := await _problem(host):
            _refuse_denied(host, problem)
            raise EngineUnavailable(
                f"no container engine answers at {host}, which DOCKER_HOST names ({problem}): start one there, "
                "or unset DOCKER_HOST"
            )
        return host
    context = _context()
    if context is not None:
        if problem := await _problem(None):
            raise EngineUnavailable(
                f"no container engine answers at docker's context {context!r} ({problem}): start it, or choose another "
                "with `docker context use`"
            )
        return None
    problems: list[tuple[str, str]] = []
    for address in usual_addresses():
        problem = await _problem(address)
        if problem is None:
            return address
        problems.append((address, problem))
    raise EngineUnavailable(_not_there(problems))


async def is_podman(docker: Docker) -> bool:
    """Return whether the engine is podman, whose own builder reads what takes BuildKit with Docker."""
    version = await docker.version()
    return any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or [])


def usual_addresses() -> list[str]:
    """Return the sockets of engines that exist here, Docker's first."""
    if sys.platform == "win32":
        return ["npipe:////./pipe/docker_engine"]
    home = Path.home()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    places = [
        Path("/var/run/docker.sock"),
        Path("/run/docker.sock"),
        home / ".docker/run/docker.sock",
        home / ".docker/desktop/docker.sock",
        home / ".colima/default/docker.sock",
        home / ".orbstack/run/docker.sock",
        home / ".rd/docker.sock",
        runtime / "docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]
    found: dict[Path, str] = {}
    for place in places:
        with contextlib.suppress(OSError):  # a folder of another user's
            if place.is_socket():
                found.setdefault(place.resolve(), f"unix://{place}")
    return list(found.values())


async def _problem(address: str | None) -> str | None:
    """Return why no engine answers at an address; `None` when one does."""
    path = (address or "").removeprefix("unix://")
    if path != (address or ""):
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(ANSWER_TIMEOUT_S)
                probe.connect(path)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    try:
        docker = Docker(url=address)
    except (ValueError, OSError, DockerError) as error:
        return str(error)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await docker.version()
    except TimeoutError:
        return f"no answer within {ANSWER_TIMEOUT_S:g} s"
    except (DockerError, aiohttp.ClientError, OSError, ValueError) as error:
        return error.message if isinstance(error, DockerError) else str(error)
    finally:
        await docker.close()
    return None


def _context() -> str | None:
    """Return the docker context in use, if it is not the default one."""
    named = os.environ.get("DOCKER_CONTEXT")
    if not named:
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        with contextlib.suppress(OSError, ValueError, AttributeError):
            named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("currentContext")
    return named if named and named != "default" else None


def _refuse_denied(address: str, problem: str) -> None:
    if "denied" in problem:
        raise EngineUnavailable(
            f"{address.removeprefix('unix://')} may not be used by this user ({problem}): join its group "
            "(`sudo usermod -aG docker $USER`, then log in again), or set DOCKER_HOST to an engine of your own"
        )


def _not_there(problems: list[tuple[str, str]]) -> str:
    for address, problem in problems:
        _refuse_denied(address, problem)
    if problems:
        seen = "; ".join(f"{address}: {problem}" for address, problem in problems)
        return f"no container engine answers ({seen}): {_start()}"
    return f"no container engine was found: {_start()}, or set DOCKER_HOST to one elsewhere"


def _start() -> str:
    if sys.platform in ("win32", "darwin"):
        return "start Docker Desktop (or `podman machine start`)"
    return "start Docker (`sudo systemctl start docker`) or podman's socket (`systemctl --user start podman.socket`)"
