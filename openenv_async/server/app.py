"""`create_app`: makes an ASGI app of an environment's class.

Only puts the parts together: settings, blueprint, routes and security each have their own module.
"""

from __future__ import annotations

import contextlib
import os
import typing
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute

from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.environment import Environment, State
from openenv_async.errors import EnvError
from openenv_async.limits import Limits
from openenv_async.recording.options import RecordOptions
from openenv_async.runtime.blueprint import Blueprint, chosen_execution
from openenv_async.runtime.processes.options import ProcessOptions
from openenv_async.server.http import HttpRoutes, plain_failure
from openenv_async.server.log_filter import protect
from openenv_async.server.metrics_route import metrics_route
from openenv_async.server.openapi import Documents
from openenv_async.server.operators import operator_routes
from openenv_async.server.security import Guard
from openenv_async.server.server import Server
from openenv_async.server.settings import settle
from openenv_async.server.web.routes import PageRoutes
from openenv_async.server.ws import WebSocketEndpoint


class EnvApp(Starlette):
    """The ASGI app of one environment; `server` runs its sessions."""

    def __init__(self, server: Server) -> None:
        """Make the routes. Use `create_app` instead."""
        self.server = server
        http, documents = HttpRoutes(server), Documents(server.blueprint)
        routes = [
            WebSocketRoute("/ws", WebSocketEndpoint(server)),
            Route("/health", http.health),
            Route("/capacity", http.capacity),
            Route("/metadata", http.metadata),
            Route("/schema", http.schema),
            Route("/state", http.state),
            Route("/reset", http.reset, methods=["POST"]),
            Route("/step", http.step, methods=["POST"]),
            Route("/session", http.end, methods=["DELETE"]),
            metrics_route(server),
            *operator_routes(server),
            Route("/openapi.json", documents.openapi),
            Route("/docs", documents.docs),
        ]
        if server.page.on:
            routes += PageRoutes(server, http.capacity, http.schemas).routes()
        settings = server.settings
        protect([settings.token])
        guard = Middleware(
            Guard,
            token=settings.token,
            allow_origins=settings.allow_origins,
            page=server.page,
            operator_key=server.operator_key,
        )
        handlers: Any = {HTTPException: plain_failure, EnvError: plain_failure}
        super().__init__(
            debug=False, routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=_lifespan
        )


@contextlib.asynccontextmanager
async def _lifespan(app: EnvApp) -> AsyncIterator[None]:
    app.server.start()
    try:
        yield
    finally:
        await app.server.drain()


def create_app(
    env: Callable[[], Any],
    action_cls: type[Any],
    observation_cls: type[Any],
    env_name: str | None = None,
    *,
    state_cls: type[Any] = State,
    max_concurrent_envs: int | None = None,
    execution: str | None = None,
    limits: Limits | None = None,
    token: str | None = None,
    allow_origins: Sequence[str] = (),
    debug: bool = False,
    processes: ProcessOptions | None = None,
    metrics: bool | None = None,
    otel: bool | None = None,
    record: RecordOptions | str | os.PathLike[str] | None = None,
    interface: bool | None = None,
) -> EnvApp:
    """Make the ASGI app that serves an environment. It runs under Hypercorn, uvicorn or any other ASGI server.

    Args:
        env: the environment's class, or a function without arguments that builds a new one at each call.
        action_cls: the class of actions: a msgspec Struct, a dataclass, a TypedDict or a pydantic model.
        observation_cls: the class of observations; likewise.
        env_name: the environment's public name; by default its class's.
        state_cls: the class of the state; likewise.
        max_concurrent_envs: environments alive at once; by default `Limits.max_sessions`, or 1 for a
            class with `SUPPORTS_CONCURRENT_SESSIONS = False`.
        execution: `"inline"`, `"thread"`, `"process"` or None; see `Environment.execution`.
        limits: every other bound.
        token: required of clients as `Authorization: Bearer`; by default `OPENENV_TOKEN`, else none.
        allow_origins: web origins whose pages may connect, besides the server's own.
        debug: show clients the tracebacks of the environment's exceptions.
        processes: for `"process"`: how many sessions share one, how many are kept ready, limits.
        metrics: count for `/metrics`; by default `OPENENV_METRICS`, else yes where prometheus-client is installed.
        otel: make OpenTelemetry spans; by default `OPENENV_OTEL`, else where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
        record: a folder in which every session is recorded, or options with it; by default `OPENENV_RECORD`.
        interface: serve a web page at `/web` to play by hand; by default what `ENABLE_WEB_INTERFACE` says, else not.

    Raises:
        TypeError: `env` cannot be called: an instance was given in place of its class.
        ValueError: settings contradict each other, or the folder for recordings cannot be written to.
    """
    if not callable(env):
        raise TypeError(
            f"env must be a class or a function that builds an environment, not an instance of {type(env).__name__}: "
            f"pass {type(env).__name__} itself"
        )
    settings = settle(
        env,
        max_concurrent_envs=max_concurrent_envs,
        execution=execution,
        limits=limits,
        token=token,
        allow_origins=tuple(allow_origins),
        debug=debug,
        processes=processes,
        metrics=metrics,
        otel=otel,
        record=record,
        interface=interface,
    )
    blueprint = Blueprint(
        factory=env,
        name=str(env_name or getattr(env, "__name__", "environment")),
        action=codec_for(action_cls),
        observation=observation_codec_for(observation_cls),
        state=codec_for(state_cls),
        execution=chosen_execution(env, settings.execution),
        debug=settings.debug,
    )
    return EnvApp(Server(blueprint, settings))


def create_app_for(env_cls: type[Environment[Any, Any, Any]], **options: Any) -> EnvApp:
    """Make the app of an environment class whose bases name its classes: `Environment[Action, Observation, State]`.

    Raises:
        TypeError: the bases name no classes; use `create_app`.
    """
    action, observation, state = _type_arguments(env_cls)
    return create_app(env_cls, action, observation, state_cls=state, **options)


def _type_arguments(env_cls: type[Any]) -> tuple[type[Any], type[Any], type[Any]]:
    for cls in getattr(env_cls, "__mro__", ()):
        for base in getattr(cls, "__orig_bases__", ()):
            origin, arguments = typing.get_origin(base), typing.get_args(base)
            if isinstance(origin, type) and issubclass(origin, Environment) and len(arguments) == 3:
                if not any(isinstance(argument, typing.TypeVar) for argument in arguments):
                    return arguments
    name = getattr(env_cls, "__name__", str(env_cls))
    raise TypeError(
        f"{name} does not say its classes; derive it from Environment[MyAction, MyObservation, MyState], "
        "or use create_app and name them there"
    )
