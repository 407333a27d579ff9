"""Pings on a WebSocket: they keep proxies from dropping a quiet connection, and tell when the other end is gone.

Owns when to ping and when to give up. Whoever has the socket sends the ping and
says when anything was heard; a pong is only one of the things that may be.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

GRACE_S = 1.0
"""Seconds in which what has already arrived is read, before silence is believed."""

_ROUNDING_S = 1e-6
"""Intervals add up to a timeout, except for the last digit."""

MOST_PINGS_PER_S = 1000
"""A peer that sends more is cut off: each costs some 20 µs, in which others wait."""


class KeepAlive:
    """The pings of one connection. `start()` it, set `heard` with everything that is received, `stop()` it.

    Args:
        ping: sends one.
        give_up: called with the seconds of silence when nothing came back.
    """

    __slots__ = ("_give_up", "_interval_s", "_ping", "_silent_s", "_timeout_s", "_timer", "heard")

    def __init__(self, ping: Callable[[], None], give_up: Callable[[float], None]) -> None:
        self._ping, self._give_up = ping, give_up
        self._timer: asyncio.TimerHandle | None = None
        self._silent_s = 0.0
        self._interval_s = 0.0
        self._timeout_s = math.inf
        self.heard = True
        """Something was received since the last ping."""

    def start(self, interval_s: float, timeout_s: float) -> None:
        """Ping every `interval_s` seconds; give up when nothing at all was heard for `timeout_s` seconds after one."""
        # Whatever else is said: a ping held back because something was just heard would let a connection be
        # silent for almost twice the interval.
        self._interval_s, self._timeout_s = interval_s, timeout_s
        self._after(interval_s, self._due)

    def stop(self) -> None:
        """No more of it. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
        # They belong to whoever holds this: without them no cycle keeps a closed connection.
        self._ping, self._give_up, self._timer = _nothing, _nothing, None

    def _after(self, delay_s: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, what)

    def _due(self) -> None:
        self._silent_s = 0.0 if self.heard else self._silent_s + self._interval_s
        if self._silent_s >= self._timeout_s - _ROUNDING_S:
            # This process may have held its loop itself, and the answer waits in the socket: uvloop runs
            # timers that are overdue before it reads.
            self._after(min(GRACE_S, self._interval_s / 4), self._judge)
            return
        self._say()

    def _judge(self) -> None:
        if self.heard:
            self._silent_s = 0.0
            self._say()
        else:
            self._give_up(self._silent_s)

    def _say(self) -> None:
        self.heard = False
        self._after(self._interval_s, self._due)
        self._ping()


def _nothing(*_: float) -> None:
    """What a stopped one does."""


class PingRate:
    """How many pings a peer sends. One that floods is not worth answering."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def too_many(self, now: float) -> bool:
        """Count one more at `now`, in seconds; True when they are over `MOST_PINGS_PER_S`."""
        if now - self._since > 1:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > MOST_PINGS_PER_S
