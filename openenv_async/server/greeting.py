"""What a server tells each native connection first: its version, limits and features."""

from __future__ import annotations

from openenv_async.limits import Limits
from openenv_async.protocol.frames import RESUME, TRACE, VERSION, Hello


def hello(server_id: str, limits: Limits, *, traces: bool = False) -> Hello:
    """Make the first frame; a client passes over what it does not know."""
    told: dict[str, float] = {
        "max_message_bytes": limits.max_message_bytes,
        "chunk_bytes": limits.chunk_bytes,
        "max_sessions": limits.max_sessions,
        "queue_timeout_s": limits.queue_timeout_s,
    }
    features = ["cancel", "chunk", "deadline"]
    if limits.resume_window_s:
        told["resume_window_s"] = limits.resume_window_s
        features.append(RESUME)
    if traces:
        features.append(TRACE)
    return Hello(VERSION, server_id, told, features)
