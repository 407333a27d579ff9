"""Serve reinforcement-learning environments over the network, and step them.

Authors import `Environment, Action, Observation, State, create_app`; trainers
import `AsyncEnv, StepResult, errors`; a program that runs a server imports
`create_app, serve_app, ServeOptions`. Names are loaded when first used, so that
a client loads no server code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv_async import errors
    from openenv_async.client import AsyncEnv
    from openenv_async.client.options import Provider
    from openenv_async.environment import Action, Environment, EnvironmentMetadata, Execution, Observation, State
    from openenv_async.limits import Limits
    from openenv_async.providers import DockerProvider
    from openenv_async.recording import RecordOptions
    from openenv_async.results import Episode, StepResult
    from openenv_async.runtime.processes.options import ProcessOptions
    from openenv_async.server import create_app, serve_app
    from openenv_async.server.runner import ServeOptions

__version__ = "0.1.0"

_HOMES = {
    "Action": "environment",
    "AsyncEnv": "client",
    "DockerProvider": "providers",
    "Environment": "environment",
    "EnvironmentMetadata": "environment",
    "Episode": "results",
    "Execution": "environment",
    "Limits": "limits",
    "Observation": "environment",
    "ProcessOptions": "runtime.processes.options",
    "Provider": "client.options",
    "RecordOptions": "recording",
    "ServeOptions": "server.runner",
    "State": "environment",
    "StepResult": "results",
    "create_app": "server",
    "errors": "errors",
    "serve_app": "server",
}

__all__ = [
    "Action",
    "AsyncEnv",
    "DockerProvider",
    "Environment",
    "EnvironmentMetadata",
    "Episode",
    "Execution",
    "Limits",
    "Observation",
    "ProcessOptions",
    "Provider",
    "RecordOptions",
    "ServeOptions",
    "State",
    "StepResult",
    "create_app",
    "errors",
    "serve_app",
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
