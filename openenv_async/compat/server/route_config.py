"""`openenv.core.env_server.route_config`: GET routes from a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel


@dataclass
class GetEndpointConfig:
    """One GET route and its handler."""

    path: str
    handler: Callable[[], Any]
    response_model: type[BaseModel] | type[dict[str, Any]]
    tag: str
    summary: str
    description: str


def register_get_endpoints(app: FastAPI, configs: list[GetEndpointConfig]) -> None:
    """Add the routes to an app, in this order. A handler may be sync or async."""
    for config in configs:
        app.get(
            config.path,
            response_model=config.response_model,
            tags=[config.tag],
            summary=config.summary,
            description=config.description,
        )(_endpoint(config.handler))


def _endpoint(handler: Callable[[], Any]) -> Callable[[], Any]:
    async def endpoint() -> Any:
        value = handler()
        return await value if hasattr(value, "__await__") else value

    return endpoint
