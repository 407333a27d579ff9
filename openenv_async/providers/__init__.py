"""Sources of a server: a process here, a container, a Space on the Hugging Face Hub.

Each provider is asynchronous and a context manager, returns the server's URL when it
is healthy, and stops what it started when its owner closes it, is cancelled or dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_async.providers.docker import DockerProvider
    from openenv_async.providers.local import LocalProcessProvider
    from openenv_async.providers.space import SpaceProvider

__all__ = ["DockerProvider", "LocalProcessProvider", "SpaceProvider"]


def __getattr__(name: str) -> Any:
    """Load a provider on first use, because each imports its own libraries."""
    if name == "DockerProvider":
        from openenv_async.providers.docker import DockerProvider

        return DockerProvider
    if name == "LocalProcessProvider":
        from openenv_async.providers.local import LocalProcessProvider

        return LocalProcessProvider
    if name == "SpaceProvider":
        from openenv_async.providers.space import SpaceProvider

        return SpaceProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
