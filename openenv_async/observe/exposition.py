"""`/metrics`: Prometheus metric families, made for each request from what `metrics` counted.

Imports prometheus-client, the extra `metrics`. docs/observability.md lists the names and meanings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from openenv_async.observe.metrics import ALWAYS, Metrics
from openenv_async.protocol.session_states import State
from openenv_async.runtime.executors.thread import AbandonedThreads
from openenv_async.transport.byte_counters import Traffic

if TYPE_CHECKING:
    from openenv_async.observe.loop_monitor import LoopMonitor
    from openenv_async.runtime.processes.pool import ProcessPool
    from openenv_async.runtime.registry import Registry

PREFIX = "openenv_"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The objects that hold the figures of one server."""

    metrics: Metrics
    registry: Registry
    monitor: LoopMonitor
    traffic: Mapping[str, Traffic]
    processes: ProcessPool | None
    connections: Mapping[str, int]
    """Open connections now, by wire."""
    info: Mapping[str, str]
    created_at: float


def expose(sources: Sources, accept: str) -> tuple[bytes, str]:
    """Write all families in the format that the client prefers.

    Args:
        sources: read at once, so call it on the server's event loop.
        accept: the request's `Accept` header.

    Returns:
        The text and its content type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(sources))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    text: bytes = encode(registry)
    return text, content_type


class _Families(Collector):
    def __init__(self, sources: Sources) -> None:
        self._from = sources

    def collect(self) -> Iterator[Metric]:
        yield from self._sessions()
        yield from self._calls()
        yield from self._connections()
        yield from self._processes()
        yield from self._loop()
        yield InfoMetricFamily(PREFIX + "build", "Versions and environment of the server.", value=dict(self._from.info))
        yield _gauge("start_time_seconds", "When the server was created, as a Unix time.", self._from.created_at)

    def _sessions(self) -> Iterator[Metric]:
        registry, metrics = self._from.registry, self._from.metrics
        by_state = registry.by_state()
        sessions = GaugeMetricFamily(PREFIX + "sessions", "Sessions by state.", labels=["state"])
        for state in State:
            sessions.add_metric([state.name.lower()], by_state.get(state.name.lower(), 0))
        yield sessions
        yield _gauge("sessions_waiting", "Sessions that wait for a slot.", registry.waiting)
        yield _gauge("slots", "Environments that may be alive at once.", registry.slots.total)
        yield _gauge("slots_in_use", "Environments being built, alive, or being closed.", registry.active)
        yield _counter("sessions_opened", "Sessions whose environment was built.", metrics.opened_total)
        yield _counter("sessions_refused", "Sessions that ended before they were open.", metrics.refused_total)
        yield _by("sessions_ended", "Sessions that have ended, by reason.", "reason", metrics.ended_total, ["closed"])
        yield _counter("sessions_detached", "Sessions that lost their connection.", metrics.detached_total)
        yield _counter("sessions_resumed", "Sessions that were resumed over another connection.", metrics.resumed_total)

    def _calls(self) -> Iterator[Metric]:
        metrics = self._from.metrics
        quick = metrics.quick_steps
        yield _counter("steps", "Steps that gave an observation.", metrics.steps)
        yield _counter("episodes", "Resets that gave an observation.", metrics.episodes)
        calls = HistogramMetricFamily(
            PREFIX + "call_seconds", "Time from a call's turn to its end, failed calls too.", labels=["call"]
        )
        for kind, histogram in metrics.latencies.items():
            first, first_s = (quick, metrics.quick_s) if kind == "step" else (0, 0.0)
            buckets = histogram.cumulative(first)
            if kind in ALWAYS or buckets[-1][1]:
                calls.add_metric([kind], buckets, histogram.total_s + first_s)
        yield calls
        yield _by("errors", "Errors sent to clients, by code.", "code", metrics.errors)
        yield _by("deadlines", "Deadlines that passed.", "call", metrics.deadlines, ALWAYS)
        yield _counter("calls_cancelled", "Calls that were cancelled by their caller.", metrics.cancelled)

    def _connections(self) -> Iterator[Metric]:
        traffic = self._from.traffic
        open_now = GaugeMetricFamily(PREFIX + "connections", "Open WebSockets, by wire.", labels=["wire"])
        for wire, count in self._from.connections.items():
            open_now.add_metric([wire], count)
        yield open_now
        came = {wire: each.connections for wire, each in traffic.items()}
        received = {wire: each.received for wire, each in traffic.items()}
        sent = {wire: each.sent for wire, each in traffic.items()}
        yield _by("connections_opened", "WebSockets opened, and requests over HTTP.", "wire", came)
        yield _by("received_bytes", "Bytes of messages and bodies from clients.", "wire", received)
        yield _by("sent_bytes", "Bytes of messages and bodies to clients.", "wire", sent)

    def _processes(self) -> Iterator[Metric]:
        yield _counter("threads_abandoned", "Threads given up because a call in them hung.", AbandonedThreads.total)
        pool = self._from.processes
        if pool is None:
            return
        now = {"in_use": pool.in_use, "spare": pool.spare}
        processes = GaugeMetricFamily(PREFIX + "processes", "Processes of environments.", labels=["state"])
        for state, count in now.items():
            processes.add_metric([state], count)
        yield processes
        yield _counter("processes_started", "Processes that were started.", pool.started)
        yield _counter("processes_crashed", "Processes that ended by themselves with a session in them.", pool.crashed)
        yield _counter("processes_killed", "Processes that were killed because something in them hung.", pool.killed)

    def _loop(self) -> Iterator[Metric]:
        monitor = self._from.monitor
        lag = HistogramMetricFamily(PREFIX + "event_loop_lag_seconds", "Delay of timers.")
        lag.add_metric([], monitor.lags.cumulative(), monitor.lags.total_s)
        yield lag
        yield _gauge("event_loop_lag_last_seconds", "The newest delay.", monitor.last_s)
        yield _counter("event_loop_blocked", "Times that a call blocked the event loop; see the log.", monitor.blocked)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _by(name: str, text: str, label: str, counts: Mapping[str, int], always: Iterable[str] = ()) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for value in sorted({*counts, *always}):
        family.add_metric([value], counts.get(value, 0))
    return family
