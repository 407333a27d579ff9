"""`GET /metrics`, for Prometheus. It needs the token, as every route but `/health` does."""

from __future__ import annotations

import platform
from collections import Counter

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import openenv_async
from openenv_async.server.server import Server

INSTALL = "metrics need prometheus-client, which is not installed: pip install 'openenv-async[metrics]'"
OFF = "metrics are switched off: start the server without --no-metrics, OPENENV_METRICS=0 and metrics=False"


class MetricsRoute:
    """The handler of one server's `/metrics`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, request: Request) -> Response:
        """Answer with the counts, or with 501 and a sentence where metrics are off."""
        server = self._server
        if server.metrics is None:
            why = INSTALL if server.settings.metrics else OFF
            body = msgspec.json.encode({"detail": why, "code": "NO_METRICS"})
            return Response(body, 501, media_type="application/json")
        # Here, because it takes a while and most servers are never asked.
        from openenv_async.observe.exposition import Sources, expose

        sources = Sources(
            metrics=server.metrics,
            registry=server.registry,
            monitor=server.telemetry.monitor,
            traffic=server.traffic,
            processes=server.processes,
            connections=_open(server),
            info=_info(server),
            created_at=server.telemetry.created_at,
        )
        text, content_type = expose(sources, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})


def _open(server: Server) -> dict[str, int]:
    found = Counter(connection.wire for connection in server.connections)
    return {wire: found[wire] for wire in ("native", "json")}


def _info(server: Server) -> dict[str, str]:
    blueprint = server.blueprint
    return {
        "version": openenv_async.__version__,
        "python": platform.python_version(),
        "environment": blueprint.name,
        "execution": blueprint.execution or "auto",
    }


def metrics_route(server: Server) -> Route:
    """Return the route."""
    return Route("/metrics", MetricsRoute(server).__call__, methods=["GET"])
