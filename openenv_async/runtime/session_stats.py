"""Figures of one session, which cost next to nothing to keep."""

from __future__ import annotations

from collections import deque

RECENT = 32
"""Steps that a session's latencies are taken over."""

QUICK_US = 64
"""Microseconds below which a step is quick: its latency says nothing about an environment."""

QUICK_S = QUICK_US / 1e6


class SessionStats:
    """One session's. `Session` keeps it, `ServerStats` sums up."""

    __slots__ = ("errors", "latencies_s", "quick_s")

    def __init__(self) -> None:
        self.latencies_s: deque[float] = deque(maxlen=RECENT)
        """Of its last steps, the newest last."""
        self.errors = 0
        """Calls that ended with an error."""
        self.quick_s = 0.0
        """Seconds of all its quick steps."""
