"""`openenv.core.env_server.http_server`: an environment's class becomes a FastAPI app with this runtime behind it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, WebSocket

from openenv_async.compat.server.auth import guard
from openenv_async.compat.server.blueprints import blueprint_of
from openenv_async.compat.server.environment_routes import register_control, register_questions
from openenv_async.compat.server.exceptions import ConcurrencyConfigurationError
from openenv_async.compat.server.mcp_routes import register_mcp, register_mcp_socket
from openenv_async.compat.server.metrics import YieldingMetrics
from openenv_async.compat.server.models import ServerMode, State
from openenv_async.compat.server.request_body import ConcurrencyConfig, ServerCapacityStatus, SessionInfo
from openenv_async.compat.server.server_handle import Running, without_bound
from openenv_async.compat.server.task_routes import register_tasks
from openenv_async.runtime.blueprint import chosen_execution
from openenv_async.server.operators import operator_routes
from openenv_async.server.settings import settle, wants_interface


class HTTPEnvServer:
    """One environment, served by whatever apps `register_routes` was called with.

    Args:
        env: the environment's class, or a function without arguments that builds a new one at each call.
        action_cls: the class of actions.
        observation_cls: the class of observations.
        max_concurrent_envs: sessions alive at once; 1 by default.
        concurrency_config: the same and the idle timeout, in place of `max_concurrent_envs`.
        env_name: the name in the task API; by default the factory's.
        state_cls: the class of the state, for `/state` and `/schema`.
        reset_observation_cls: the class that `/schema` names for the observations of `reset`.

    Raises:
        TypeError: `env` is an instance.
        ValueError: both settings of concurrency were given.
        ConcurrencyConfigurationError: several sessions for a class that does not say it can have them.
    """

    def __init__(
        self,
        env: Callable[[], Any],
        action_cls: type[Any],
        observation_cls: type[Any],
        max_concurrent_envs: int | None = None,
        concurrency_config: ConcurrencyConfig | None = None,
        env_name: str | None = None,
        state_cls: type[Any] = State,
        *,
        reset_observation_cls: type[Any] | None = None,
    ) -> None:
        if not callable(env):
            raise TypeError(
                f"env must be a callable (class or factory function), got {type(env)}: pass the environment's class, "
                f"not an instance of it"
            )
        if max_concurrent_envs is not None and concurrency_config is not None:
            raise ValueError("Cannot specify both 'max_concurrent_envs' and 'concurrency_config': use one of them")
        self._env_factory = env
        self._concurrency_config = concurrency_config or ConcurrencyConfig(
            max_concurrent_envs=1 if max_concurrent_envs is None else max_concurrent_envs
        )
        self._check_concurrency()
        self.action_cls = action_cls
        self.observation_cls = observation_cls
        self.reset_observation_cls = reset_observation_cls or observation_cls
        self.state_cls = state_cls
        self.env_name = env_name or str(getattr(env, "__name__", "environment"))
        self.running = self._run()

    def _run(self) -> Running:
        settings = settle(
            self._env_factory,
            max_concurrent_envs=self._concurrency_config.max_concurrent_envs,
            execution=None,
            limits=None,
            token=None,
            allow_origins=(),
            debug=False,
        )
        blueprint = blueprint_of(
            self._env_factory,
            self.env_name,
            action_cls=self.action_cls,
            observation_cls=self.observation_cls,
            state_cls=self.state_cls,
            # Not the class's own attribute of that name: it means something else to one who knows only OpenEnv.
            execution=chosen_execution(_nothing, settings.execution),
            one_thread=getattr(self._env_class(), "REQUIRES_SINGLE_THREAD_EXECUTOR", False) is True,
            debug=settings.debug,
        )
        return Running(blueprint, without_bound(settings), self._concurrency_config.session_timeout)

    def _env_class(self) -> type | None:
        factory = self._env_factory
        factory = factory.func if isinstance(factory, functools.partial) else factory
        return factory if inspect.isclass(factory) else None

    def _check_concurrency(self) -> None:
        if self._concurrency_config.max_concurrent_envs <= 1:
            return
        cls = self._env_class() or self._class_of_one()
        if not getattr(cls, "SUPPORTS_CONCURRENT_SESSIONS", False):
            raise ConcurrencyConfigurationError(cls.__name__, self._concurrency_config.max_concurrent_envs)

    def _class_of_one(self) -> type:
        """Build an environment to see its class, as OpenEnv does."""
        env = self._env_factory()
        env.close()
        return type(env)

    @property
    def active_sessions(self) -> int:
        """Sessions with an environment."""
        return self.running.server.registry.active

    @property
    def max_concurrent_envs(self) -> int:
        """Sessions that may have one at once."""
        return self.running.server.registry.max_sessions

    @property
    def is_concurrency_safe(self) -> bool:
        """Whether the environment's class says that it can have several sessions."""
        return bool(getattr(self._env_class() or self._class_of_one(), "SUPPORTS_CONCURRENT_SESSIONS", False))

    @property
    def concurrency_config(self) -> ConcurrencyConfig:
        """What the server was told of concurrency."""
        return self._concurrency_config

    def get_capacity_status(self) -> ServerCapacityStatus:
        """Say how many sessions there are and may be."""
        return ServerCapacityStatus.from_counts(self.active_sessions, self.max_concurrent_envs)

    def get_session_info(self, session_id: str) -> SessionInfo | None:
        """Say what is known of a session, or None when there is none of this id."""
        session = self.running.server.registry.sessions.get(session_id)
        if session is None:
            return None
        cls = self._env_class()
        return SessionInfo(
            session_id=session.id,
            created_at=session.created_at,
            last_activity_at=session.created_at,
            step_count=session.steps,
            environment_type=cls.__name__ if cls is not None else self.env_name,
        )

    def _operated(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Give a lifespan that adds what operators ask of a server, behind every route that the author has by then."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            known = {getattr(route, "path", None) for route in app.router.routes}
            own = [YieldingMetrics(self.running.server), *operator_routes(self.running.server)]
            app.router.routes.extend(route for route in own if getattr(route, "path", None) not in known)
            async with inner(app) as state:
                yield state

        return lifespan

    def register_routes(self, app: FastAPI, mode: ServerMode | str = ServerMode.SIMULATION) -> None:
        """Add the routes to an app. In production mode there are no `/reset`, `/step` and `/state`.

        Raises:
            ValueError: no such mode.
        """
        chosen = _mode(mode)
        guard(app, self.running.server)
        app.router.lifespan_context = self.running.lifespan_around(self._operated(app.router.lifespan_context))
        simulation = chosen is ServerMode.SIMULATION
        register_tasks(app, self)
        register_mcp_socket(app, self)
        if simulation:
            register_control(app, self)
        register_questions(app, self, state=simulation)
        register_mcp(app, self)

        @app.websocket("/ws")
        async def websocket_endpoint(websocket: WebSocket) -> None:
            """Serve a session, or many on the native wire."""
            await self.running.serve_socket(websocket)


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
    """Make the app of an environment, with a web page if `ENABLE_WEB_INTERFACE` asks for one.

    The arguments are those of `HTTPEnvServer`, the `mode` of `register_routes` (by default what `OPENENV_MODE` says,
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
        from openenv_async.compat.server.web_interface import create_web_interface_app

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
    """Make the app of an environment, without a web page; see `create_app`."""
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


def app_and_server(*args: Any, mode: ServerMode | str | None, **options: Any) -> tuple[FastAPI, HTTPEnvServer]:
    """Make an app and the server whose routes it has, of a server's arguments."""
    app = FastAPI(
        title="OpenEnv Environment HTTP API",
        version="1.0.0",
        description="Begin episodes, take steps, and ask what the environment is. Sessions are at the WebSocket `/ws`.",
    )
    server = HTTPEnvServer(*args, **options)
    server.register_routes(app, mode=os.environ.get("OPENENV_MODE", "simulation") if mode is None else mode)
    return app, server


def __getattr__(name: str) -> Any:
    """Give what OpenEnv's module has only because it imports it; authors import it from here all the same."""
    if not name.startswith("_"):
        for home in ("types", "interfaces", "serialization", "mcp_types", "exceptions", "route_config"):
            module = importlib.import_module(f"openenv_async.compat.server.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _mode(mode: ServerMode | str) -> ServerMode:
    try:
        return ServerMode(mode.lower())
    except ValueError:
        modes = [known.value for known in ServerMode]
        raise ValueError(f"Invalid mode: '{mode}'. Must be one of: {modes}") from None


def _nothing() -> None:
    """Stand for a factory that declares nothing."""
