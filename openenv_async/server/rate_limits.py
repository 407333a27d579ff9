"""Limits of one connection: bytes of requests in flight, and new sessions per second.

`native` checks them before it passes a request to a session.
"""

from __future__ import annotations

import time

from openenv_async.errors import CapacityError, PayloadTooLarge
from openenv_async.runtime.session import Session

COUNTED_BYTES = 1024
"""Requests smaller than this are not counted: their number is bounded, and most steps are of this kind."""

_MOST_KEPT = 4096


class RequestBudget:
    """Bytes of one connection's large requests without an answer.

    Args:
        max_bytes: most bytes of all of them together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[tuple[Session, int], int] = {}
        self.bytes = 0
        """As last counted: requests answered since are subtracted only when the limit is reached."""

    def refuse(self, session: Session, rid: int, size: int, elsewhere: int) -> PayloadTooLarge | None:
        """Count a request of `size` bytes, or return the error for it.

        Args:
            session: the session of the request.
            rid: the request's number.
            size: size of its payload, in bytes.
            elsewhere: further bytes that count, of requests that have arrived in part.
        """
        if self.bytes + elsewhere + size > self._max_bytes or len(self._kept) >= _MOST_KEPT:
            self._count()
        if self.bytes and self.bytes + elsewhere + size > self._max_bytes:
            return PayloadTooLarge(
                f"requests of this connection that have no answer yet hold {self.bytes + elsewhere:,} bytes, and this "
                f"one has {size:,}; the limit is {self._max_bytes:,} bytes (max_connection_bytes): wait for answers",
                size=size,
                limit=self._max_bytes,
            )
        self._kept[session, rid] = size
        self.bytes += size
        return None

    def _count(self) -> None:
        self._kept = {key: size for key, size in self._kept.items() if key[0].holds(key[1])}
        self.bytes = sum(self._kept.values())


EARLY_S = 0.002
"""Seconds by which a session may come too early: `retry_after_s` is rounded, and a client's timer may fire early.
The next session has to wait longer by the same time, so that the rate is kept."""


class SessionRate:
    """Token bucket for new sessions of a connection: it holds `burst` and gains `per_s` each second."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left = float(burst)
        self._at = time.monotonic()

    def refuse(self) -> CapacityError | None:
        """Take one session from the bucket, or return the error for it."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1 - EARLY_S * self._per_s:
            wait_s = round((1 - self._left) / self._per_s, 3)
            text = f"this connection opens sessions faster than {self._per_s:g} per second (max_new_sessions_per_s)"
            return CapacityError(text, retry_after_s=wait_s)
        self._left -= 1
        return None
