"""`openenv.core.env_server.http_server`: an environment's class becomes a FastAPI app with this runtime behind it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from openenv_async.compat.server.routes import HTTPEnvServer, app_and_server
from openenv_async.compat.server.types import ConcurrencyConfig, ServerMode, State
from openenv_async.compat.server.web_interface import create_web_interface_app
from openenv_async.server.settings import wants_interface

__all__ = ["HTTPEnvServer", "create_app", "create_fastapi_app"]


def create_app(
    env: Callable[[], Any],
    action_cls: type[Any],
    observation_cls: type[Any],
    env_name: str | None = None,
    max_concurrent_envs: int | None = None,
    concurrency_config: ConcurrencyConfig | None = None,
    gradio_builder: Callable[..., Any] | None = None,
    custom_tab_name: str = "Custom",
    custom_tab_primary: bool = False,
    show_default_tab: bool = True,
    title_override: str | None = None,
    state_cls: type[Any] = State,
    *,
    mode: ServerMode | str | None = None,
    reset_observation_cls: type[Any] | None = None,
) -> FastAPI:
    """Build the app of an environment, with a web page if `ENABLE_WEB_INTERFACE` asks for one.

    The arguments are those of `HTTPEnvServer`, the `mode` of `register_routes` (by default that of `OPENENV_MODE`,
    else simulation), and those of the web page, for `create_web_interface_app`.
    """
    options: dict[str, Any] = {
        "env_name": env_name,
        "max_concurrent_envs": max_concurrent_envs,
        "concurrency_config": concurrency_config,
        "state_cls": state_cls,
        "mode": mode,
        "reset_observation_cls": reset_observation_cls,
    }
    if wants_interface():
        return create_web_interface_app(
            env,
            action_cls,
            observation_cls,
            gradio_builder=gradio_builder,
            custom_tab_name=custom_tab_name,
            custom_tab_primary=custom_tab_primary,
            show_default_tab=show_default_tab,
            title_override=title_override,
            **options,
        )
    return create_fastapi_app(env, action_cls, observation_cls, **options)


def create_fastapi_app(
    env: Callable[[], Any],
    action_cls: type[Any],
    observation_cls: type[Any],
    max_concurrent_envs: int | None = None,
    concurrency_config: ConcurrencyConfig | None = None,
    env_name: str | None = None,
    state_cls: type[Any] = State,
    *,
    mode: ServerMode | str | None = None,
    reset_observation_cls: type[Any] | None = None,
) -> FastAPI:
    """Build the app of an environment, without a web page; see `create_app`."""
    return app_and_server(
        env,
        action_cls,
        observation_cls,
        max_concurrent_envs,
        concurrency_config,
        env_name=env_name,
        state_cls=state_cls,
        mode=mode,
        reset_observation_cls=reset_observation_cls,
    )[0]


def __getattr__(name: str) -> Any:
    """Return a name that OpenEnv's module has because it imports it; authors import it from here too."""
    if not name.startswith("_"):
        for home in ("types", "interfaces", "serialization", "mcp_types", "exceptions", "route_config"):
            module = importlib.import_module(f"openenv_async.compat.server.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
