"""What looks on while a server runs: counts, the log of its sessions, spans, and how late its event loop is.

Owns what is switched on, and when it begins and ends. The parts are in `observe`.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from typing import TYPE_CHECKING

from openenv_async.observe.loop_monitor import LoopMonitor
from openenv_async.observe.metrics import Metrics
from openenv_async.observe.session_log import CallLog, SessionLog
from openenv_async.observe.session_log import logger as sessions_logger

if TYPE_CHECKING:
    from openenv_async.observe.spans import Spans
    from openenv_async.server.server import Server

logger = logging.getLogger("openenv_async")


class Observing:
    """The watches of one server.

    Args:
        server: made by `Server` itself, as the last of its parts.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.created_at = time.time()
        settings = server.settings
        self.metrics: Metrics | None = None
        if settings.metrics and importlib.util.find_spec("prometheus_client") is not None:
            self.metrics = Metrics()
            server.observe(self.metrics)
        server.observe(SessionLog())
        self.monitor = LoopMonitor(server.blueprint.name, server.limits.loop_blocked_s)
        self.spans: Spans | None = None
        self._logs_calls = False

    def start(self) -> None:
        """Begin with the app's lifespan, on its event loop."""
        if not self._logs_calls and sessions_logger.isEnabledFor(logging.DEBUG):
            self._logs_calls = True
            self._server.observe(CallLog())
        # After the server's processes: a fork takes no thread along.
        self.monitor.start()
        self._trace()

    def draining(self, grace_s: float) -> None:
        """The server begins to end."""
        registry = self._server.registry
        sessions, busy = len(registry.sessions), sum(s.in_flight is not None for s in registry.sessions.values())
        fields = {"event": "draining", "sessions": sessions, "calls": busy, "grace_s": grace_s}
        text = "draining: %d sessions, %d calls in flight, up to %g s"
        logger.log(logging.INFO if sessions else logging.DEBUG, text, sessions, busy, grace_s, extra=fields)

    async def stop(self) -> None:
        """End with the server; waits, within a bound, for spans that are still to be sent."""
        self.monitor.stop()
        if self.spans is not None:
            await self.spans.flush()

    def _trace(self) -> None:
        if self.spans is None:
            from openenv_async.tracing import wanted

            if wanted(self._server.settings.otel):
                from openenv_async.observe.spans import Spans

                self.spans = Spans(self._server.blueprint.name)
                self._server.observe(self.spans)
