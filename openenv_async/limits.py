"""Every bound of the runtime, in one frozen object.

The registry, the wires and the transports enforce them. `server.options` makes a setting of each.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one server; units are in the names, `None` means unlimited.

    Raises:
        ValueError: a bound is negative, or zero where zero makes no sense.
    """

    max_sessions: int = 1024
    """Environments alive at once, over every wire. A further one waits `queue_timeout_s`."""

    max_sessions_per_connection: int = 4096
    """Sessions one native connection may hold; one more is refused with `CAPACITY_REACHED`."""

    max_connections: int = 8192
    """Open connections of any kind; one more is answered HTTP 503. The JSON wire takes one for each session."""

    max_new_sessions_per_s: float = 500.0
    """Sessions a native connection may go on opening per second. A burst of `max_sessions_per_connection`
    is free; what comes faster is refused with `CAPACITY_REACHED`."""

    max_message_bytes: int = 100 * MIB
    """Largest action, observation or state. Beyond it the call fails with `PAYLOAD_TOO_LARGE`
    and the session lives. The figure is OpenEnv's client default, `max_message_size_mb=100`."""

    max_connection_bytes: int = 512 * MIB
    """Requests that one connection may have unanswered, large ones that have arrived in part included. Beyond it
    a native request is refused with `PAYLOAD_TOO_LARGE`; a JSON connection is not read any further. The bodies of
    HTTP requests that are arriving share one such bound: beyond it a request is answered HTTP 503."""

    chunk_bytes: int = 256 * KIB
    """A native message larger than this travels in pieces, so that other sessions' frames go between."""

    max_queued_bytes: int = 8 * MIB
    """Replies waiting for one slow connection; above it that connection is not read any further."""

    queue_timeout_s: float = 30.0
    """Seconds a native client waits for a free slot before `CAPACITY_REACHED`; 0 refuses at once.
    A client may ask for less. HTTP always refuses at once, as OpenEnv does."""

    json_queue_timeout_s: float = 0.0
    """The same for the JSON wire: by default it refuses at once, as OpenEnv does. A slot whose session has ended is
    waited for in any case while its environment closes."""

    max_waiting: int = 4096
    """Sessions that may wait for a slot. Beyond it the newest request of the connection with the most waiting is
    refused."""

    create_timeout_s: float | None = 120.0
    """Seconds an environment's factory may take before `FACTORY_ERROR`."""

    step_timeout_s: float | None = None
    """Seconds a reset or step may take when neither the call nor the environment class says."""

    state_timeout_s: float = 30.0
    """Seconds `state` and `get_metadata` may take."""

    handshake_timeout_s: float = 10.0
    """Seconds a new connection has to complete TLS and the head of its first request; then it is cut off."""

    body_timeout_s: float = 120.0
    """Seconds the body of a HTTP request may take to arrive, before HTTP 408."""

    http_idle_timeout_s: float = 300.0
    """Seconds without a request before a session opened over HTTP is closed."""

    page_idle_timeout_s: float = 900.0
    """Seconds without a request before the session of the web page is closed: a tab left open holds no slot."""

    resume_window_s: float = 60.0
    """Seconds a native session outlives its lost connection, waiting for the client to come back; a call in flight is
    waited for beyond them. 0: sessions end with their connection."""

    close_timeout_s: float = 10.0
    """Seconds an environment's `close()` may take before the runtime stops waiting for it."""

    grace_s: float = 10.0
    """Seconds that calls in flight are given when the server stops, and on SIGTERM episodes too."""

    drain_idle_s: float = 1.0
    """Seconds without a request after which an episode counts as over while a server drains."""

    loop_blocked_s: float | None = 1.0
    """Seconds the server's event loop may be blocked before the log names the environment's call that does it. None:
    it is not watched."""

    def __post_init__(self) -> None:
        """Refuse bounds that no server could work with."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and not value >= least(field.name):  # NaN too
                raise ValueError(f"Limits.{field.name} must be {least(field.name)} or more, not {value!r}")


def least(bound: str) -> int:
    """Return the smallest value of a bound: 0 only where nothing at all makes sense."""
    return 1 if bound.startswith("max_") or bound == "chunk_bytes" else 0
