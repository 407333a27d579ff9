"""`/reset /step /state /metadata /health /schema`: what an OpenEnv app answers over plain HTTP.

FastAPI checks the bodies and lists their problems; `call_adapter` writes the
answers where the environment lives, by the same response models.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
from fastapi import Body, FastAPI, HTTPException, Response
from pydantic import ValidationError

from openenv_async.compat.server.codecs import problems
from openenv_async.compat.server.models import EnvironmentMetadata, HealthStatus
from openenv_async.compat.server.request_body import (
    HealthResponse,
    ResetRequest,
    ResetResponse,
    SchemaResponse,
    StepRequest,
    StepResponse,
)
from openenv_async.compat.server.route_config import GetEndpointConfig, register_get_endpoints
from openenv_async.compat.server.serialization import deserialize_action
from openenv_async.errors import EnvError, EnvironmentFailed, FactoryError, InvalidPayload
from openenv_async.protocol.error_mapping import describe
from openenv_async.runtime.calls import Call, Wire
from openenv_async.server.http import STATUS

if TYPE_CHECKING:
    from openenv_async.compat.server.http_server import HTTPEnvServer

_CONTROL = "Environment Control"


def register_control(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add `POST /reset` and `POST /step`."""

    @app.post("/reset", response_model=ResetResponse, tags=[_CONTROL], summary="Reset the environment")
    async def reset(request: ResetRequest = Body(default_factory=ResetRequest)) -> Response:  # noqa: B008
        """Begin an episode in an environment of its own and give the first observation."""
        arguments = request.model_dump(exclude_unset=True)
        return await answer(server, Call("reset", _json(arguments), Wire.HTTP))

    @app.post("/step", response_model=StepResponse, tags=[_CONTROL], summary="Execute an action in the environment")
    async def step(request: StepRequest) -> Response:
        """Take one step in an environment of its own and give the observation."""
        try:
            # Before an environment is built for it, and off the event loop: validators are the author's code.
            await anyio.to_thread.run_sync(deserialize_action, request.action, server.action_cls)
        except ValidationError as exc:
            raise HTTPException(status_code=422, detail=problems(exc)) from exc
        return await answer(server, Call("step", _json(request.model_dump(exclude_unset=True)), Wire.HTTP))


def register_questions(app: FastAPI, server: HTTPEnvServer, *, state: bool) -> None:
    """Add `GET /metadata`, `/health` and `/schema`, and `/state` if it is wanted."""

    async def get_state() -> Response:
        return await answer(server, Call("state", b"", Wire.HTTP, server.running.server.limits.state_timeout_s))

    async def get_metadata() -> Response:
        return await answer(server, Call("metadata", b"", Wire.HTTP, server.running.server.limits.state_timeout_s))

    endpoints = [
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
    if state:
        endpoints.insert(
            0,
            GetEndpointConfig(
                path="/state",
                handler=get_state,
                response_model=server.state_cls,
                tag="State Management",
                summary="Get current environment state",
                description="The state of a new environment, by the fields of the declared state class.",
            ),
        )
    register_get_endpoints(app, endpoints)

    @app.get("/schema", response_model=SchemaResponse, tags=["Schema"], summary="Get all JSON schemas")
    async def get_schemas() -> SchemaResponse:
        """Give the JSON Schemas of the environment's classes."""
        return SchemaResponse(
            action=server.action_cls.model_json_schema(),
            observation=server.observation_cls.model_json_schema(),
            reset_observation=server.reset_observation_cls.model_json_schema(),
            state=server.state_cls.model_json_schema(),
        )


async def answer(server: HTTPEnvServer, call: Call) -> Response:
    """Do one call and give its answer; what the environment raised goes to the app's handlers.

    Raises:
        HTTPException: the runtime refused.
        Exception: the environment's own.
    """
    try:
        outcome = await server.running.once(call)
    except (EnvironmentFailed, FactoryError, InvalidPayload):
        raise  # the environment's own, from a process whose exceptions do not travel
    except EnvError as error:
        what = describe(error)
        raise HTTPException(STATUS.get(what.code, 500), detail=what.message) from error
    return Response(outcome.data, media_type="application/json")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
