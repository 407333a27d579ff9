"""Serve reinforcement-learning environments over the network, and step them.

Authors import `Environment, Action, Observation, State, create_app`; trainers
import `AsyncEnv, StepResult, errors`. Names are loaded when first used, so that
a client brings in no server code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from openenv_async.composition import Builders

if TYPE_CHECKING:
    from openenv_async import errors
    from openenv_async.client import AsyncEnv
    from openenv_async.environment import Action, Environment, EnvironmentMetadata, Observation, State
    from openenv_async.limits import Limits
    from openenv_async.results import Episode, StepResult
    from openenv_async.runtime.processes.options import ProcessOptions
    from openenv_async.server import create_app

__version__ = "0.1.0"

_HOMES = {
    "Action": "environment",
    "AsyncEnv": "client",
    "Environment": "environment",
    "EnvironmentMetadata": "environment",
    "Episode": "results",
    "Limits": "limits",
    "Observation": "environment",
    "ProcessOptions": "runtime.processes.options",
    "State": "environment",
    "StepResult": "results",
    "create_app": "server",
    "errors": "errors",
}

__all__ = [
    "Action",
    "AsyncEnv",
    "Environment",
    "EnvironmentMetadata",
    "Episode",
    "Limits",
    "Observation",
    "ProcessOptions",
    "State",
    "StepResult",
    "create_app",
    "errors",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{home}")
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def _app_for(env_cls: type[Any]) -> Any:
    from openenv_async.server import create_app_for

    return create_app_for(env_cls)


def _docker_provider(image: str, **options: Any) -> Any:
    from openenv_async.providers import DockerProvider

    return DockerProvider(image, **options)


def _space_provider(repo_id: str, **options: Any) -> Any:
    from openenv_async.providers import SpaceProvider

    return SpaceProvider(repo_id, **options)


def _hub_copy_provider(repo_id: str, **options: Any) -> Any:
    from openenv_async.providers.space import HubCopyProvider

    return HubCopyProvider(repo_id, **options)


Builders.app_for = _app_for
Builders.docker_provider = _docker_provider
Builders.space_provider = _space_provider
Builders.hub_copy_provider = _hub_copy_provider
