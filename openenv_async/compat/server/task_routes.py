"""The task API: which tasks an environment with a data set has, under `/{env_name}/...`."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException

from openenv_async.compat.server.request_body import (
    GetTaskRangeRequest,
    GetTaskRequest,
    ListTasksRequest,
    NumTasksRequest,
)
from openenv_async.runtime.calls import Call, Wire

if TYPE_CHECKING:
    from openenv_async.compat.server.http_server import HTTPEnvServer

_TAGS: list[Any] = ["Task API"]


def register_tasks(app: FastAPI, server: HTTPEnvServer) -> None:
    """Add the routes; each answers 501 where the environment has no such method."""
    ask = functools.partial(_ask, server)

    @app.get("/list_environments", tags=_TAGS)
    async def list_environments() -> list[str]:
        return [server.env_name]

    @app.get("/{env_name}/splits", tags=_TAGS)
    async def list_splits(env_name: str) -> list[dict[str, Any]]:
        splits: list[dict[str, Any]] = await ask(env_name, "list_splits")
        return splits

    @app.post("/{env_name}/tasks", tags=_TAGS)
    async def list_tasks(env_name: str, request: ListTasksRequest) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "list_tasks", request.split), "env_name": server.env_name}

    @app.post("/{env_name}/num_tasks", tags=_TAGS)
    async def num_tasks(env_name: str, request: NumTasksRequest) -> dict[str, Any]:
        return {"num_tasks": await ask(env_name, "num_tasks", request.split)}

    @app.post("/{env_name}/task", tags=_TAGS)
    async def get_task(env_name: str, request: GetTaskRequest) -> dict[str, Any]:
        return {"task": await ask(env_name, "get_task", request.split, request.index)}

    @app.post("/{env_name}/task_range", tags=_TAGS)
    async def get_task_range(env_name: str, request: GetTaskRangeRequest) -> dict[str, Any]:
        return {"tasks": await ask(env_name, "get_task_range", request.split, request.start, request.stop)}


async def _ask(server: HTTPEnvServer, env_name: str, method: str, *arguments: Any) -> Any:
    if env_name.lower() != server.env_name.lower():
        raise HTTPException(status_code=404, detail=f"unknown environment {env_name!r}")
    outcome = await server.running.once(Call("task", json.dumps([method, *arguments]).encode(), Wire.HTTP))
    answer = json.loads(outcome.data)
    if answer.get("problem") == "NotImplementedError":
        raise HTTPException(status_code=501, detail=f"{method} is not supported for this environment")
    if answer.get("problem") == "IndexError":
        raise HTTPException(status_code=400, detail="Invalid task index")
    return answer["value"]
