"""How long things took, counted in buckets that double: a histogram that costs an index per observation.

No library's: those take a lock and a microsecond or more for each, and here a whole step takes ten.
"""

from __future__ import annotations

from collections.abc import Sequence

from openenv_async.runtime.tally import QUICK_US

FIRST_US = QUICK_US
"""The first bucket's bound."""

BUCKETS = 21
"""Bounds: 64 us, 128 us, and so on up to 67 s; one more bucket has what took longer."""

_SHIFT = FIRST_US.bit_length() - 1

BOUNDS_S: Sequence[float] = tuple((FIRST_US << at) / 1e6 for at in range(BUCKETS))


class Histogram:
    """Counts durations. Read `cumulative()` and `total_s`."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (BUCKETS + 1)
        self.total_s = 0.0
        """The sum of all durations, in seconds."""

    def add(self, duration_s: float) -> None:
        """Count one."""
        self.total_s += duration_s
        at = (int(duration_s * 1e6) >> _SHIFT).bit_length()
        self.counts[at if at < BUCKETS else BUCKETS] += 1

    def cumulative(self, more_in_first: int = 0) -> list[tuple[str, float]]:
        """Give each bound in seconds, as text, with how many took no longer; `+Inf` is the last.

        Args:
            more_in_first: how many quick ones there were that were counted elsewhere.
        """
        found, so_far = [], more_in_first
        for at, count in enumerate(self.counts):
            so_far += count
            found.append((repr(BOUNDS_S[at]) if at < BUCKETS else "+Inf", float(so_far)))
        return found
