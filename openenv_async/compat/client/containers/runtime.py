"""`openenv.core.containers.runtime`: the providers, and what to do instead of those that are not here."""

from __future__ import annotations

import sys
from typing import Any

from openenv_async.compat.client.containers.providers import (
    ABSENT,
    ContainerProvider,
    LocalDockerProvider,
    RuntimeProvider,
)
from openenv_async.compat.client.containers.uv_provider import UVProvider
from openenv_async.compat.names import child, load

__all__ = ["ContainerProvider", "LocalDockerProvider", "RuntimeProvider", "UVProvider"]


def __getattr__(name: str) -> Any:
    return child("openenv.core.containers.runtime", name) or load(sys.modules[__name__], name, {}, ABSENT)
