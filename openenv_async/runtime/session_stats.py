"""What one session did, in figures that cost next to nothing to keep: for whoever asks who plays here."""

from __future__ import annotations

import time
from collections import deque

RECENT = 32
"""Steps that a session's latencies are taken over."""

QUICK_US = 64
"""A step that takes less is quick: what it took says nothing about an environment."""

QUICK_S = QUICK_US / 1e6


class Tally:
    """One session's. `Session` keeps it, `Census` sums it up."""

    __slots__ = ("errors", "last_s", "latencies_s", "quick_s", "since")

    def __init__(self) -> None:
        self.latencies_s: deque[float] = deque(maxlen=RECENT)
        """Of its last steps, the newest last."""
        self.errors = 0
        """Calls that gave an error."""
        self.last_s = 0.0
        """How long its newest call took."""
        self.quick_s = 0.0
        """Seconds of all its quick steps."""
        self.since = time.perf_counter()
        """When it was asked for, or opened."""
