"""`HTTPEnvServer`: one environment, and the routes that it adds to a FastAPI app.

FastAPI checks the request bodies and lists their problems; `call_adapter` writes the
answers where the environment lives, by the same response models.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from fastapi import Body, FastAPI, HTTPException, Request, Response, WebSocket
from pydantic import ValidationError
from starlette.routing import Match, Route

from openenv_async.compat.server.auth import guard
from openenv_async.compat.server.blueprints import blueprint_of
from openenv_async.compat.server.exceptions import ConcurrencyConfigurationError
from openenv_async.compat.server.mcp_types import JsonRpcErrorCode, JsonRpcRequest, JsonRpcResponse
from openenv_async.compat.server.route_config import GetEndpointConfig, register_get_endpoints
from openenv_async.compat.server.serialization import deserialize_action, problems
from openenv_async.compat.server.server_handle import Running, without_bound
from openenv_async.compat.server.sessions import ask_session, rpc_call, written
from openenv_async.compat.server.tools import read_request
from openenv_async.compat.server.types import (
    ConcurrencyConfig,
    EnvironmentMetadata,
    GetTaskRangeRequest,
    GetTaskRequest,
    HealthResponse,
    HealthStatus,
    ListTasksRequest,
    NumTasksRequest,
    ResetRequest,
    ResetResponse,
    SchemaResponse,
    ServerCapacityStatus,
    ServerMode,
    SessionInfo,
    State,
    StepRequest,
    StepResponse,
)
from openenv_async.errors import EnvError, EnvironmentFailed, FactoryError, InvalidPayload
from openenv_async.protocol.error_mapping import describe
from openenv_async.runtime.blueprint import chosen_execution
from openenv_async.runtime.calls import Call, Wire
from openenv_async.server.http import STATUS
from openenv_async.server.metrics_route import MetricsRoute
from openenv_async.server.operators import operator_routes
from openenv_async.server.server import Server
from openenv_async.server.settings import settle

_CONTROL = "Environment Control"
_TASKS: list[Any] = ["Task API"]


class HTTPEnvServer:
    """One environment, served by all apps that `register_routes` was called with.

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
        ValueError: both `max_concurrent_envs` and `concurrency_config` were passed.
        ConcurrencyConfigurationError: several sessions for a class that does not declare support for them.
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
            # Not the class's own attribute of that name, which authors who know only OpenEnv use for other things.
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
        wanted = self._concurrency_config.max_concurrent_envs
        if wanted <= 1:
            return
        cls = self._env_class() or self._class_of_one()
        if not getattr(cls, "SUPPORTS_CONCURRENT_SESSIONS", False):
            raise ConcurrencyConfigurationError(cls.__name__, wanted)

    def _class_of_one(self) -> type:
        """Build an environment to learn its class, as OpenEnv does."""
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
        """Whether the environment's class declares that it supports several sessions."""
        return bool(getattr(self._env_class() or self._class_of_one(), "SUPPORTS_CONCURRENT_SESSIONS", False))

    @property
    def concurrency_config(self) -> ConcurrencyConfig:
        """The limits on sessions that this server was created with."""
        return self._concurrency_config

    def get_capacity_status(self) -> ServerCapacityStatus:
        """Return how many sessions there are and may be."""
        return ServerCapacityStatus.from_counts(self.active_sessions, self.max_concurrent_envs)

    def get_session_info(self, session_id: str) -> SessionInfo | None:
        """Return what is known of a session, or None when there is none with this id."""
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

    def register_routes(self, app: FastAPI, mode: ServerMode | str = ServerMode.SIMULATION) -> None:
        """Add the routes to an app. In production mode there are no `/reset`, `/step` and `/state`.

        Raises:
            ValueError: there is no such mode.
        """
        chosen = _mode(mode)
        guard(app, self.running.server)
        app.router.lifespan_context = self.running.lifespan_around(self._operated(app.router.lifespan_context))
        simulation = chosen is ServerMode.SIMULATION
        _register_tasks(app, self)

        @app.websocket("/mcp")
        async def mcp_websocket_endpoint(websocket: WebSocket) -> None:
            """Serve a session that answers JSON-RPC."""
            await self.running.serve_rpc_socket(websocket)

        if simulation:
            _register_control(app, self)
        _register_questions(app, self, state=simulation)
        _register_mcp(app, self)

        @app.websocket("/ws")
        async def websocket_endpoint(websocket: WebSocket) -> None:
            """Serve a session, or many on the native wire."""
            await self.running.serve_socket(websocket)

    def _operated(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a lifespan that adds the operators' routes, behind every route that the author has by then."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            known = {getattr(route, "path", None) for route in app.router.routes}
            own = [YieldingMetrics(self.running.server), *operator_routes(self.running.server)]
            app.router.routes.extend(route for route in own if getattr(route, "path", None) not in known)
            async with inner(app) as state:
                yield state

        return lifespan


def app_and_server(*args: Any, mode: ServerMode | str | None, **options: Any) -> tuple[FastAPI, HTTPEnvServer]:
    """Build an app and the server whose routes it has, from the server's arguments."""
    app = FastAPI(
        title="OpenEnv Environment HTTP API",
        version="1.0.0",
        description="Begin episodes, take steps, and ask what the environment is. Sessions are at the WebSocket `/ws`.",
    )
    server = HTTPEnvServer(*args, **options)
    server.register_routes(app, mode=os.environ.get("OPENENV_MODE", "simulation") if mode is None else mode)
    return app, server


def _mode(mode: ServerMode | str) -> ServerMode:
    try:
        return ServerMode(mode.lower())
    except ValueError:
        modes = [known.value for known in ServerMode]
        raise ValueError(f"Invalid mode: '{mode}'. Must be one of: {modes}") from None


def _nothing() -> None:
    """Stand for a factory that declares nothing."""


class YieldingMetrics(Route):
    """`/metrics`, which OpenEnv does not have: an author's own route of that path is used instead."""

    def __init__(self, server: Server) -> None:
        super().__init__("/metrics", MetricsRoute(server).__call__, methods=["GET"])

    def matches(self, scope: Any) -> tuple[Match, Any]:
        app = scope.get("app")
        others = [] if app is None else [each for each in app.routes if not isinstance(each, YieldingMetrics)]
        if any(getattr(each, "path", None) == self.path for each in others):
            return Match.NONE, {}
        return super().matches(scope)


def _register_control(app: FastAPI, server: HTTPEnvServer) -> None:
    @app.post("/reset", response_model=ResetResponse, tags=[_CONTROL], summary="Reset the environment")
    async def reset(request: ResetRequest = Body(default_factory=ResetRequest)) -> Response:  # noqa: B008
        """Begin an episode in a new environment and return the first observation."""
        return await _answer(server, Call("reset", _json(request.model_dump(exclude_unset=True)), Wire.HTTP))

    @app.post("/step", response_model=StepResponse, tags=[_CONTROL], summary="Execute an action in the environment")
    async def step(request: StepRequest) -> Response:
        """Take one step in a new environment and return the observation."""
        try:
            # Before an environment is built for it, and off the event loop: validators are the author's code.
            await anyio.to_thread.run_sync(deserialize_action, request.action, server.action_cls)
        except ValidationError as exc:
            raise HTTPException(status_code=422, detail=problems(exc)) from exc
        return await _answer(server, Call("step", _json(request.model_dump(exclude_unset=True)), Wire.HTTP))


def _register_questions(app: FastAPI, server: HTTPEnvServer, *, state: bool) -> None:
    timeout_s = server.running.server.limits.state_timeout_s

    async def get_state() -> Response:
        return await _answer(server, Call("state", b"", Wire.HTTP, timeout_s))

    async def get_metadata() -> Response:
        return await _answer(server, Call("metadata", b"", Wire.HTTP, timeout_s))

    endpoints = [
        GetEndpointConfig(
            path="/state",
            handler=get_state,
            response_model=server.state_cls,
            tag="State Management",
            summary="Get current environment state",
            description="The state of a new environment, by the fields of the declared state class.",
        ),
        GetEndpointConfig(
            path="/metadata",
            handler=get_metadata,
            response_model=EnvironmentMetadata,
            tag="Environment Info",
            summary="Get environment metadata",
            description="What the environment says of itself.",
        ),
        GetEndpointConfig(
            path="/health",
            handler=lambda: HealthResponse(status=HealthStatus.HEALTHY),
            response_model=HealthResponse,
            tag="Health",
            summary="Health check",
            description="The server runs and answers.",
        ),
    ]
    register_get_endpoints(app, endpoints if state else endpoints[1:])

    @app.get("/schema", response_model=SchemaResponse, tags=["Schema"], summary="Get all JSON schemas")
    async def get_schemas() -> SchemaResponse:
        """Return the JSON Schemas of the environment's classes."""
        return SchemaResponse(
            action=server.action_cls.model_json_schema(),
            observation=server.observation_cls.model_json_schema(),
            reset_observation=server.reset_observation_cls.model_json_schema(),
            state=server.state_cls.model_json_schema(),
        )


def _register_tasks(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add the task API, under `/{env_name}/...`; 501 is the answer where the environment has no such method."""
    ask = functools.partial(_ask_for_tasks, server)

    @app.get("/list_environments", tags=_TASKS)
    async def list_environments() -> list[str]:
        return [server.env_name]

    @app.get("/{env_name}/splits", tags=_TASKS)
    async def list_splits(env_name: str) -> list[dict[str, Any]]:
        splits: list[dict[str, Any]] = await ask(env_name, "list_splits")
        return splits

    @app.post("/{env_name}/tasks", tags=_TASKS)
    async def list_tasks(env_name: str, request: ListTasksRequest) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "list_tasks", request.split), "env_name": server.env_name}

    @app.post("/{env_name}/num_tasks", tags=_TASKS)
    async def num_tasks(env_name: str, request: NumTasksRequest) -> dict[str, Any]:
        return {"num_tasks": await ask(env_name, "num_tasks", request.split)}

    @app.post("/{env_name}/task", tags=_TASKS)
    async def get_task(env_name: str, request: GetTaskRequest) -> dict[str, Any]:
        return {"task": await ask(env_name, "get_task", request.split, request.index)}

    @app.post("/{env_name}/task_range", tags=_TASKS)
    async def get_task_range(env_name: str, request: GetTaskRangeRequest) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "get_task_range", request.split, request.start, request.stop)}


async def _ask_for_tasks(server: HTTPEnvServer, env_name: str, method: str, *arguments: Any) -> Any:
    if env_name.lower() != server.env_name.lower():
        raise HTTPException(status_code=404, detail=f"unknown environment {env_name!r}")
    outcome = await server.running.once(Call("task", _json([method, *arguments]), Wire.HTTP))
    answer = json.loads(outcome.data)
    if answer.get("problem") == "NotImplementedError":
        raise HTTPException(status_code=501, detail=f"{method} is not supported for this environment")
    if answer.get("problem") == "IndexError":
        raise HTTPException(status_code=400, detail="Invalid task index")
    return answer["value"]


def _register_mcp(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add `POST /mcp`: tools by JSON-RPC, without steps. The status is always 200."""

    @app.post("/mcp")
    async def mcp_endpoint(request_raw: Request) -> Response:
        """Answer one JSON-RPC request, about the session that its params name or an environment of its own."""
        try:
            fields = json.loads(await request_raw.body())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return _response(JsonRpcResponse.error_response(JsonRpcErrorCode.PARSE_ERROR))
        request = read_request(fields)
        return _response(request if isinstance(request, JsonRpcResponse) else await _answer_rpc(server, request))


async def _answer_rpc(server: HTTPEnvServer, request: JsonRpcRequest) -> JsonRpcResponse | bytes:
    running = server.running
    answer = await running.sessions.answer(request, None)
    if answer is not None:
        return answer
    name = request.params.get("session_id")
    if not name:
        return (await running.once(rpc_call(request))).data
    session = running.sessions.find(name) if isinstance(name, str) else None
    if session is None:
        text = f"Unknown session_id: {name}"
        return JsonRpcResponse.error_response(JsonRpcErrorCode.INVALID_PARAMS, text, request_id=request.id)
    return await ask_session(session, request)


async def _answer(server: HTTPEnvServer, call: Call) -> Response:
    """Do one call and return its answer; what the environment raised goes to the app's exception handlers.

    Raises:
        HTTPException: the runtime refused.
        Exception: the environment's own.
    """
    try:
        outcome = await server.running.once(call)
    except (EnvironmentFailed, FactoryError, InvalidPayload):
        raise  # the environment's own, from a process whose exceptions are not sent
    except EnvError as error:
        what = describe(error)
        raise HTTPException(STATUS.get(what.code, 500), detail=what.message) from error
    return Response(outcome.data, media_type="application/json")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _response(answer: JsonRpcResponse | bytes) -> Response:
    return Response(written(answer), media_type="application/json")
