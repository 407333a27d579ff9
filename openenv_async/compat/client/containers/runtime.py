"""`openenv.core.containers.runtime`: the providers there are, and what to do instead of those that there are not."""

from __future__ import annotations

import sys
from typing import Any

from openenv_async.compat.client.containers.providers import ContainerProvider, LocalDockerProvider, RuntimeProvider
from openenv_async.compat.client.containers.uv_provider import UVProvider
from openenv_async.compat.names.lazy import child, load

__all__ = ["ContainerProvider", "LocalDockerProvider", "RuntimeProvider", "UVProvider"]

_ABSENT = {
    "DockerSwarmProvider": "start the service with docker and give the client its base_url, or use LocalDockerProvider",
    "KubernetesProvider": "start the pod with kubectl and give the client its base_url, or use LocalDockerProvider",
}


def __getattr__(name: str) -> Any:
    return child("openenv.core.containers.runtime", name) or load(sys.modules[__name__], name, {}, _ABSENT)
