"""Clients that bring their own server: from a Docker image, or from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from openenv_async.client.options import CLIENT_OPTIONS, Provider
from openenv_async.errors import UsageError

Use = Literal["space", "docker", "local"]
"""Where a Space of the Hub is played."""


class Owner(Protocol):
    """A client: it starts its provider's server when it is opened, and ends it when it is closed."""

    async def open(self) -> None:
        """Start the server and connect."""

    async def close(self) -> None:
        """End the session and the server. Safe to repeat."""


EnvT = TypeVar("EnvT", bound=Owner)


async def from_docker_image(make: Callable[..., EnvT], image: str, options: dict[str, Any]) -> EnvT:
    """Return a client, made by `make` and connected, that owns a container of an image."""
    own, others = _split(options)
    if "env_vars" in others:
        others["env"] = others.pop("env_vars")
    return await _owning(make, own, lambda: _docker_provider(image, others))


async def from_hub(make: Callable[..., EnvT], repo_id: str, use: Use, options: dict[str, Any]) -> EnvT:
    """Return a client, made by `make` and connected, that plays a Space."""
    own, others = _split(options)
    if use == "docker":
        image = f"registry.hf.space/{space_subdomain(repo_id)}:{others.pop('tag', 'latest')}"
        return await _owning(make, own, lambda: _docker_provider(image, others))
    if use == "local":
        token = own.pop("token", None)  # the Hub's, not the server's
        return await _owning(make, own, lambda: _hub_copy_provider(repo_id, others | {"token": token}))
    if use == "space":
        return await _owning(make, own, lambda: _space_provider(repo_id, others | {"token": own.get("token")}))
    raise UsageError(f"use must be 'space', 'docker' or 'local', not {use!r}")


# Imported here, because a client that connects to a server needs none of them.


def _docker_provider(image: str, options: dict[str, Any]) -> Provider:
    from openenv_async.providers.docker import DockerProvider

    return DockerProvider(image, **options)


def _hub_copy_provider(repo_id: str, options: dict[str, Any]) -> Provider:
    from openenv_async.providers.space import HubCopyProvider

    return HubCopyProvider(repo_id, **options)


def _space_provider(repo_id: str, options: dict[str, Any]) -> Provider:
    from openenv_async.providers.space import SpaceProvider

    return SpaceProvider(repo_id, **options)


def space_subdomain(repo_id: str) -> str:
    """Return the name of a Space in the Hub's registry and in its `hf.space` address.

    Raises:
        UsageError: not of the form `org/name`.
    """
    org, slash, name = repo_id.partition("/")
    if not (org and slash and name) or "/" in name:
        raise UsageError(f"a Space is named org/name, not {repo_id!r}")
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{org}-{name}".lower())
    return "-".join(part for part in plain.split("-") if part)


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the client's own options, and the provider's."""
    own = {name: value for name, value in options.items() if name in CLIENT_OPTIONS}
    return own, {name: value for name, value in options.items() if name not in CLIENT_OPTIONS}


async def _owning(make: Callable[..., EnvT], options: dict[str, Any], provider: Callable[[], Provider]) -> EnvT:
    env = make(provider=options.pop("provider", None) or provider(), **options)
    try:
        await env.open()
    except BaseException:
        # The provider undoes a start that failed; a server that started and then refused is ended here.
        await env.close()
        raise
    return env
