"""`openenv.core.env_server.web_interface`: one environment to try by hand, at `/web`.

OpenEnv draws this page with Gradio. Here it is the page of `server.web`, which has a
session of its own over `/ws`; an author's own `gradio_builder` is mounted in its place
where Gradio is installed. `/web/reset /web/step /web/state /web/metadata` answer as
OpenEnv's do; `web_session` holds the environment behind them.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.responses import RedirectResponse

from openenv_async.compat.server.http_server import HTTPEnvServer, app_and_server
from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.models import EnvironmentMetadata, ServerMode, State
from openenv_async.compat.server.request_body import ConcurrencyConfig
from openenv_async.compat.server.web_session import WebInterfaceManager
from openenv_async.server.http import HttpRoutes
from openenv_async.server.web.routes import PageRoutes

logger = logging.getLogger("openenv_async.compat")

__all__ = ["WebInterfaceManager", "create_web_interface_app", "load_environment_metadata"]


def create_web_interface_app(
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
    """Make the app of an environment with a web page at `/web`.

    Args:
        env: as of `create_app`, like the other arguments that both have.
        action_cls: see there.
        observation_cls: see there.
        env_name: see there.
        max_concurrent_envs: see there.
        concurrency_config: see there.
        gradio_builder: gives a page of the author's own; it is called with the manager, the action's fields, the
            metadata, whether it is a chat, the title and a text, and mounted in place of the plain page.
        custom_tab_name: without meaning here, where there are no tabs.
        custom_tab_primary: without meaning here.
        show_default_tab: without meaning here.
        title_override: the page's title.
        state_cls: see there.
        mode: see there.
        reset_observation_cls: see there.
    """
    app, server = app_and_server(
        env,
        action_cls,
        observation_cls,
        max_concurrent_envs,
        concurrency_config,
        env_name=env_name,
        state_cls=state_cls,
        mode=mode,
        reset_observation_cls=reset_observation_cls,
    )
    metadata = load_environment_metadata(env, env_name)
    manager = WebInterfaceManager(server, action_cls, observation_cls, metadata)
    title = title_override or f"OpenEnv Agentic Environment: {metadata.name}"
    _register(app, server, manager)
    if gradio_builder is not None and _mounted(app, gradio_builder, manager, title):
        return app

    running = server.running.server
    running.page.on = True
    schemas = {
        "action": action_cls.model_json_schema,
        "observation": observation_cls.model_json_schema,
        "state": state_cls.model_json_schema,
    }
    page = PageRoutes(
        running,
        HttpRoutes(running).capacity,
        lambda: {name: schema() for name, schema in schemas.items()},
        title=title_override or metadata.name,
        base=Environment,
    )
    app.router.routes.extend(page.routes(root=False))
    return app


def load_environment_metadata(env: Any, env_name: str | None = None) -> EnvironmentMetadata:
    """Say what an environment is, with its README where that is found, without building one."""
    factory = getattr(env, "func", env)
    own_name = str(getattr(factory, "__name__", "environment"))
    name = own_name if inspect.isclass(factory) else env_name or own_name
    places = [os.environ.get("ENV_README_PATH"), env_name and f"envs/{env_name}/README.md"]
    found = [Path(place) for place in [*places, "/app/env/README.md", "/app/README.md"] if place]
    readme = next((path for path in found if path.is_file()), None)
    return EnvironmentMetadata(
        name=env_name or name,
        description=f"{name} environment",
        version="1.0.0",
        readme_content=readme.read_text(encoding="utf-8", errors="replace") if readme is not None else None,
    )


def _register(app: FastAPI, server: HTTPEnvServer, manager: WebInterfaceManager) -> None:
    @app.get("/", include_in_schema=False)
    @app.get("/web", include_in_schema=False)
    async def web_root() -> RedirectResponse:
        """Lead to the page."""
        return RedirectResponse(url="/web/")

    @app.get("/web/metadata")
    async def web_metadata() -> dict[str, Any]:
        """Say what the environment is."""
        return manager.metadata.model_dump()

    @app.post("/web/reset")
    async def web_reset(request: dict[str, Any] | None = Body(default=None)) -> Response:  # noqa: B008
        """Begin an episode in the page's environment."""
        return _json(await manager.reset_json(request or {}))

    @app.post("/web/step")
    async def web_step(request: dict[str, Any]) -> Response:
        """Take a step in it."""
        action = {"message": request["message"]} if "message" in request else request.get("action", {})
        return _json(await manager.step_json(action))

    @app.get("/web/state")
    async def web_state() -> Response:
        """Give its state."""
        try:
            return _json(await manager.state_json())
        except RuntimeError as exc:
            raise HTTPException(status_code=409, detail=str(exc)) from exc


_ABSENT = (
    "ActionLog EpisodeState OPENENV_GRADIO_CSS OPENENV_GRADIO_THEME build_gradio_app get_gradio_display_title "
    "get_quick_start_markdown _build_gradio_blocks _extract_action_fields _is_chat_env"
).split()


def __getattr__(name: str) -> Any:
    if name in _ABSENT:
        instead = "build your page with gradio and mount it on the app"
        raise ImportError(f"{name} of OpenEnv's web page is not part of openenv-async: {instead}", name=__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _json(data: bytes) -> Response:
    return Response(data, media_type="application/json")


def _mounted(app: FastAPI, builder: Callable[..., Any], manager: WebInterfaceManager, title: str) -> bool:
    if importlib.util.find_spec("gradio") is None:
        logger.warning("gradio is not installed: the page of gradio_builder= is left out (pip install gradio)")
        return False
    gradio: Any = importlib.import_module("gradio")
    fields = [
        {"name": name, **field}
        for name, field in manager.action_cls.model_json_schema().get("properties", {}).items()
        if name != "metadata"
    ]
    is_chat = "tokens" in getattr(manager.action_cls, "model_fields", {})
    try:
        blocks = builder(manager, fields, manager.metadata, is_chat, title, "")
    except ImportError as error:  # of OpenEnv's own Gradio parts, most likely
        logger.warning("the page that gradio_builder= makes is left out: %s", error)
        return False
    gradio.mount_gradio_app(app, blocks, path="/web")
    return True
