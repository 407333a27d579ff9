"""Clients that bring their own server: from a Docker image, or from the Hugging Face Hub."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self, TypeVar

from openenv_async.composition import Builders
from openenv_async.errors import UsageError


class Provider(Protocol):
    """A source of servers: a process, a container, a Space. Owned by the client it is given to."""

    async def start(self) -> str:
        """Start a server and give its URL once it is healthy."""

    async def stop(self) -> None:
        """End the server. Safe to repeat."""


EnvT = TypeVar("EnvT")

CLIENT_OPTIONS = frozenset(
    {
        "connect_timeout_s",
        "message_timeout_s",
        "max_message_size_mb",
        "headers",
        "token",
        "wire",
        "provider",
        "queue_timeout_s",
        "ca_file",
        "ping_interval_s",
    }
)
"""Keyword arguments that are the client's own; every other goes to the provider."""


class Starting:
    """The half of `AsyncEnv` that starts or finds servers."""

    @classmethod
    async def from_docker_image(cls, image: str, **options: Any) -> Self:
        """Start a container of an image, connect to it, and own it: `close()` removes it.

        Args:
            image: e.g. `"my-env:latest"`; pulled when the engine does not have it.
            options: the constructor's own, and those of `providers.DockerProvider`: `env` (or OpenEnv's
                `env_vars`), `port`, `container_port`, `volumes`, `memory`, `cpus`, `network`, `start_timeout_s`.

        Raises:
            ServerNotStarted: no engine, no image, or the server died before it was healthy, with its last lines.
            CancelledError: the container is removed.
        """
        own, others = _split(options)
        if "env_vars" in others:
            others["env"] = others.pop("env_vars")
        provider = own.pop("provider", None) or _lent("docker_provider")(image, **others)
        return await _owning(cls, provider, own)

    @classmethod
    async def from_hub(
        cls, repo_id: str, *, use: Literal["space", "docker", "local"] = "space", **options: Any
    ) -> Self:
        """Play a Space of the Hugging Face Hub.

        Args:
            repo_id: `"org/name"`.
            use: `"space"` connects to the running Space and wakes it if it sleeps; `"docker"` runs its image
                from the Hub's registry here; `"local"` downloads its repository and serves it here.
            options: the constructor's own, and those of the provider; `token` is the Hub's.

        Raises:
            ServerNotStarted: no such Space, it does not run, or its copy could not be started.
            CancelledError: what was started here is ended; a Space goes on.
        """
        own, others = _split(options)
        given = own.pop("provider", None)
        if use == "docker":
            tag = others.pop("tag", "latest")
            image = f"registry.hf.space/{space_subdomain(repo_id)}:{tag}"
            provider = given or _lent("docker_provider")(image, **others)
        elif use == "local":
            provider = given or _lent("hub_copy_provider")(repo_id, token=own.pop("token", None), **others)
        elif use == "space":
            provider = given or _lent("space_provider")(repo_id, token=own.get("token"), **others)
        else:
            raise UsageError(f"use must be 'space', 'docker' or 'local', not {use!r}")
        return await _owning(cls, provider, own)


def space_subdomain(repo_id: str) -> str:
    """Give the name under which the Hub's registry and its `hf.space` addresses know a Space.

    Raises:
        UsageError: not of the form `org/name`.
    """
    org, slash, name = repo_id.partition("/")
    if not (org and slash and name) or "/" in name:
        raise UsageError(f"a Space is named org/name, not {repo_id!r}")
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{org}-{name}".lower())
    return "-".join(part for part in plain.split("-") if part)


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    own = {name: value for name, value in options.items() if name in CLIENT_OPTIONS}
    return own, {name: value for name, value in options.items() if name not in CLIENT_OPTIONS}


def _lent(name: str) -> Any:
    builder = getattr(Builders, name)
    if builder is None:
        raise UsageError("starting a server takes the whole package: import openenv_async")
    return builder


async def _owning(cls: type[EnvT], provider: Any, options: dict[str, Any]) -> EnvT:
    make: Any = cls  # the class that mixes this one in takes these arguments
    env = make(provider=provider, **options)
    try:
        await env.open()
    except BaseException:
        # The provider undoes a start that failed; a server that started and then refused is ended here.
        await env.close()
        raise
    owned: EnvT = env
    return owned
