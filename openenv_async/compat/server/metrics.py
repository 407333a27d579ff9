"""`/metrics` of an OpenEnv app, unless its author has a route of that name."""

from __future__ import annotations

from typing import Any

from starlette.routing import Match, Route

from openenv_async.server.metrics_route import MetricsRoute
from openenv_async.server.server import Server


class YieldingMetrics(Route):
    """The runtime's route, which OpenEnv has not: it stands back wherever the author added one."""

    def __init__(self, server: Server) -> None:
        super().__init__("/metrics", MetricsRoute(server).__call__, methods=["GET"])

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """See `Route.matches`."""
        app = scope.get("app")
        others = [] if app is None else [each for each in app.routes if not isinstance(each, YieldingMetrics)]
        if any(getattr(each, "path", None) == self.path for each in others):
            return Match.NONE, {}
        return super().matches(scope)
