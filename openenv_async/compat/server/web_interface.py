"""`openenv.core.env_server.web_interface`: a page at `/web` to try an environment by hand.

OpenEnv draws this page with Gradio. Here it is the page of `server.web`, which has a
session of its own over `/ws`; an author's own `gradio_builder` is mounted in its place
where Gradio is installed. `/web/reset /web/step /web/state /web/metadata` answer as
OpenEnv's do, from one environment that the page shares.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.responses import RedirectResponse

from openenv_async.compat.server.background_loop import at
from openenv_async.compat.server.interfaces import Environment
from openenv_async.compat.server.routes import HTTPEnvServer, app_and_server
from openenv_async.compat.server.serialization import deserialize_action_with_preprocessing
from openenv_async.compat.server.server_handle import cause_of
from openenv_async.compat.server.sessions import KeptSession
from openenv_async.compat.server.types import ConcurrencyConfig, EnvironmentMetadata, ServerMode, State
from openenv_async.errors import EnvError
from openenv_async.runtime.calls import Call, Wire
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.request_session import open_request_session
from openenv_async.server.http import HttpRoutes
from openenv_async.server.web.routes import PageRoutes

logger = logging.getLogger("openenv_async.compat")

__all__ = ["WebInterfaceManager", "create_web_interface_app", "load_environment_metadata"]


class WebInterfaceManager:
    """The environment behind an app's web page, in a session opened on first use; `gradio_builder` receives it.

    Args:
        env: the environment's class, a function that builds one, an environment, or an `HTTPEnvServer`.
        action_cls: the class of actions.
        observation_cls: the class of observations.
        metadata: the environment's description on the page; by default its class's name.
    """

    def __init__(
        self, env: Any, action_cls: Any, observation_cls: Any, metadata: EnvironmentMetadata | None = None
    ) -> None:
        if not isinstance(env, HTTPEnvServer):
            one = env
            env = HTTPEnvServer(env if callable(env) else lambda: one, action_cls, observation_cls)
        server: HTTPEnvServer = env
        self.action_cls, self.observation_cls = action_cls, observation_cls
        self.metadata = metadata or EnvironmentMetadata(
            name=server.env_name, description=f"{server.env_name} environment"
        )
        self._server = server
        self._session: KeptSession | None = None
        running = server.running
        self._registry = Registry(running.server.blueprint, running.server.limits, 1)
        running.before_drain.append(self.aclose)

    async def reset_environment(self, reset_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Begin an episode and return the first observation, as it is sent."""
        return _decoded(await self.reset_json(reset_kwargs or {}))

    async def step_environment(self, action_data: dict[str, Any]) -> dict[str, Any]:
        """Take a step and return the observation, as it is sent.

        Raises:
            pydantic.ValidationError: the action does not fit.
        """
        return _decoded(await self.step_json(action_data))

    async def get_state_async(self) -> dict[str, Any]:
        """Return the state."""
        return _decoded(await self.state_json())

    async def reset_json(self, arguments: dict[str, Any]) -> bytes:
        """Do what `reset_environment` does, and return JSON."""
        return await self._call(Call("reset", json.dumps(arguments).encode(), Wire.JSON))

    async def step_json(self, action_data: dict[str, Any]) -> bytes:
        """Do what `step_environment` does, and return JSON."""
        action = await anyio.to_thread.run_sync(deserialize_action_with_preprocessing, action_data, self.action_cls)
        return await self._call(Call("step", json.dumps(action.model_dump(mode="json")).encode(), Wire.JSON))

    async def state_json(self) -> bytes:
        """Do what `get_state_async` does, and return JSON."""
        return await self._call(Call("state", b"", Wire.JSON))

    def get_state(self) -> dict[str, Any]:
        """Return the state, to code that does not await."""
        return _decoded(
            asyncio.run_coroutine_threadsafe(self._call_here(Call("state", b"", Wire.JSON)), self._loop).result()
        )

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Not the loop of the app's lifespan, on which `get_state` may block.
        return self._server.running.home.own

    async def _call(self, call: Call) -> bytes:
        return await at(self._loop, lambda: self._call_here(call))

    async def _call_here(self, call: Call) -> bytes:
        try:
            if self._session is None or self._session.over:
                self._session = KeptSession(await open_request_session(self._registry))
            return (await self._session.call(call)).data
        except EnvError as error:
            raise cause_of(error) from None

    async def aclose(self) -> None:
        """Close the session, if there is one."""
        if self._session is not None:
            await self._session.aclose()


def _decoded(data: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(data)
    return value


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
    """Build the app of an environment with a web page at `/web`.

    Args:
        env: as for `create_app`, like every argument not described here.
        action_cls: see `create_app`.
        observation_cls: see `create_app`.
        env_name: see `create_app`.
        max_concurrent_envs: see `create_app`.
        concurrency_config: see `create_app`.
        gradio_builder: builds a page of the author's own; it is called with the manager, the action's fields, the
            metadata, whether it is a chat, the title and a text, and mounted in place of the plain page.
        custom_tab_name: ignored, as there are no tabs.
        custom_tab_primary: ignored.
        show_default_tab: ignored.
        title_override: the page's title.
        state_cls: see `create_app`.
        mode: see `create_app`.
        reset_observation_cls: see `create_app`.
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
    """Describe an environment, with its README if that is found, without building one."""
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
        """Redirect to the page."""
        return RedirectResponse(url="/web/")

    @app.get("/web/metadata")
    async def web_metadata() -> dict[str, Any]:
        """Describe the environment."""
        return manager.metadata.model_dump()

    @app.post("/web/reset")
    async def web_reset(request: dict[str, Any] | None = Body(default=None)) -> Response:  # noqa: B008
        """Begin an episode in the environment of the page."""
        return _json(await manager.reset_json(request or {}))

    @app.post("/web/step")
    async def web_step(request: dict[str, Any]) -> Response:
        """Take a step in the environment of the page."""
        action = {"message": request["message"]} if "message" in request else request.get("action", {})
        return _json(await manager.step_json(action))

    @app.get("/web/state")
    async def web_state() -> Response:
        """Return the state of the environment of the page."""
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
    except ImportError as error:  # most likely of OpenEnv's own Gradio code
        logger.warning("the page of gradio_builder= is left out: %s", error)
        return False
    gradio.mount_gradio_app(app, blocks, path="/web")
    return True
