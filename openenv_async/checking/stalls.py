"""How long this process's own event loop stood still: time that no server is to blame for."""

from __future__ import annotations

import asyncio

_TICK_S = 0.02

_LEAST_S = 0.25
"""What is less is how a busy machine runs, and as likely as not in the middle of waiting for the server."""


class Stalls:
    """Watches the running loop from `start()` to `stop()`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost_s = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._due = self._loop.time() + _TICK_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Watch no longer. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lost_s(self) -> float:
        """Seconds, since `start()`, by which the loop came much too late to what was due."""
        # Whoever asks may have been woken before the tick that the same stall delays.
        late_s = self._loop.time() - self._due
        return self._lost_s + (late_s if late_s >= _LEAST_S else 0.0)

    def _tick(self) -> None:
        self._lost_s = self.lost_s
        self.start()
