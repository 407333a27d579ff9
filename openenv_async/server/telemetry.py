"""Starts and stops a server's metrics, session log, spans and event-loop monitor.

The parts are in `observe`.
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
from openenv_async.runtime.registry import Registry
from openenv_async.server.settings import ServerSettings

if TYPE_CHECKING:
    from openenv_async.observe.spans import Spans

logger = logging.getLogger("openenv_async")


class Telemetry:
    """Telemetry of one server.

    Args:
        registry: its sessions.
        settings: decide what is on.
    """

    def __init__(self, registry: Registry, settings: ServerSettings) -> None:
        self._registry, self._settings = registry, settings
        self.created_at = time.time()
        self.metrics: Metrics | None = None
        if settings.metrics and importlib.util.find_spec("prometheus_client") is not None:
            self.metrics = Metrics()
            registry.observe(self.metrics)
        registry.observe(SessionLog())
        self.monitor = LoopMonitor(registry.blueprint.name, registry.limits.loop_blocked_s)
        self.spans: Spans | None = None
        self._logs_calls = False

    def start(self) -> None:
        """Begin with the app's lifespan, on its event loop."""
        if not self._logs_calls and sessions_logger.isEnabledFor(logging.DEBUG):
            self._logs_calls = True
            self._registry.observe(CallLog())
        # After the server's processes, since threads do not survive a fork.
        self.monitor.start()
        self._trace()

    def draining(self, grace_s: float) -> None:
        """Log that the server begins to drain."""
        registry = self._registry
        sessions, busy = len(registry.sessions), sum(s.in_flight is not None for s in registry.sessions.values())
        fields = {"event": "draining", "sessions": sessions, "calls": busy, "grace_s": grace_s}
        text = "draining: %d sessions, %d calls in flight, up to %g s"
        logger.log(logging.INFO if sessions else logging.DEBUG, text, sessions, busy, grace_s, extra=fields)

    async def stop(self) -> None:
        """End with the server; waits for a bounded time until the last spans are sent."""
        self.monitor.stop()
        if self.spans is not None:
            await self.spans.flush()

    def _trace(self) -> None:
        if self.spans is None:
            from openenv_async.tracing import wanted

            if wanted(self._settings.otel):
                from openenv_async.observe.spans import Spans

                self.spans = Spans(self._registry.blueprint.name)
                self._registry.observe(self.spans)
