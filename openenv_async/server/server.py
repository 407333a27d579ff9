"""The server behind an app: its sessions and its connections, from startup to shutdown."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING, Protocol

from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.registry import Registry
from openenv_async.runtime.server_stats import ServerStats
from openenv_async.server.log_filter import FILTER, protect
from openenv_async.server.operator_key import OperatorKey
from openenv_async.server.settings import ServerSettings
from openenv_async.server.telemetry import Telemetry
from openenv_async.server.web.page_auth import PageAccess
from openenv_async.transport.byte_counters import Traffic

if TYPE_CHECKING:
    from openenv_async.recording.recorder import Recorder
    from openenv_async.runtime.processes.pool import ProcessPool


class ServerConnection(Protocol):
    """An open WebSocket of either wire, on the server's side."""

    wire: str
    """`native` or `json`."""

    async def drain(self, grace_s: float) -> None:
        """Send the client a notice that the server is stopping; the registry ends its sessions."""

    async def aclose(self) -> None:
        """Send what is still to be sent and close the socket."""


class Server:
    """State of one server, made by `create_app` and shared by its routes."""

    def __init__(self, blueprint: Blueprint, settings: ServerSettings) -> None:
        self.processes: ProcessPool | None = None
        if blueprint.execution == "process":
            # Imported here, because only this execution needs it.
            from openenv_async.runtime.processes.pool import ProcessPool

            self.processes = ProcessPool(settings.processes, settings.limits)
            blueprint = dataclasses.replace(blueprint, launcher=self.processes)
        self.blueprint = blueprint
        self.settings = settings
        self.page = PageAccess(settings.interface, settings.token)
        self.limits = settings.limits
        self.id = secrets.token_hex(6)
        self.operator_key = OperatorKey()
        self.registry = Registry(blueprint, settings.limits, settings.limits.max_sessions)
        self.connections: set[ServerConnection] = set()
        self._draining: asyncio.Task[None] | None = None
        self.traffic = {wire: Traffic() for wire in ("native", "json", "http")}
        """Counts of bytes and connections, by wire."""
        self.telemetry = Telemetry(self.registry, settings)
        self.metrics = self.telemetry.metrics
        """For `/metrics`; None: metrics are off."""
        self.stats = ServerStats()
        """Figures for operators."""
        self.registry.observe(self.stats)
        self.recorder: Recorder | None = None
        if settings.record is not None:
            # Imported here, because most servers record nothing.
            from openenv_async.recording.recorder import Recorder

            protect([settings.token])
            self.recorder = Recorder(settings.record, blueprint.name, FILTER.without_known)
            self.registry.observe(self.recorder)

    def start(self) -> None:
        """Accept sessions, also after a drain. Called as the app's lifespan begins.

        Raises:
            FactoryError: the environment cannot be built in a process.
        """
        if self.processes is not None:
            self.processes.begin(self.blueprint)
        self.registry.closing = False
        self._draining = None
        self.telemetry.start()

    async def drain(self, grace_s: float | None = None) -> None:
        """Refuse new sessions, let calls finish, close every environment and every socket. Safe to repeat.

        Args:
            grace_s: seconds that calls in flight are given; None: `Limits.grace_s`.
        """
        await self._end(self.limits.grace_s if grace_s is None else grace_s, episodes=False)

    async def retire(self, grace_s: float | None = None) -> None:
        """Drain as a server that is being replaced: episodes in progress may go on within the time.

        A session ends when its client closes it or resets, when it had no request for `Limits.drain_idle_s`
        seconds, and at the end of the time. After `drain` this only waits.

        Args:
            grace_s: total seconds; None: `Limits.grace_s`.
        """
        await self._end(self.limits.grace_s if grace_s is None else grace_s, episodes=True)

    async def _end(self, grace_s: float, *, episodes: bool) -> None:
        if self._draining is None:
            draining = self._drain(grace_s, episodes)
            self._draining = asyncio.get_running_loop().create_task(draining, name="openenv drain")
        await asyncio.shield(self._draining)

    async def _drain(self, grace_s: float, episodes: bool) -> None:
        self.registry.closing = True
        self.telemetry.draining(grace_s)
        for connection in list(self.connections):
            await connection.drain(grace_s)
        await self.registry.drain(grace_s, episodes=episodes)
        if self.processes is not None:
            await self.processes.aclose()
        if self.recorder is not None:
            await self.recorder.aclose()
        closing = [asyncio.ensure_future(connection.aclose()) for connection in list(self.connections)]
        if closing:
            await asyncio.wait(closing, timeout=5)
        await self.telemetry.stop()
