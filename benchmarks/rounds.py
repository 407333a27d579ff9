"""Alternating rounds and what is made of them: medians, and the median of the ratios of neighbouring rounds.

The ratio is taken within each pair before the median is, so that a machine which slows down for a while slows both
sides of a pair. Other processes do worse: a side that keeps every core busy loses more to them than one that does
not, so turns that they disturb are played again.
Pure: knows nothing of processes, so that its arithmetic can be tested.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")

QUIET = 0.25
"""Cores that other processes may use during a round that counts as quiet."""

Target = Literal["ratio at least", "ratio at most", "value at most"]


def alternate(sides: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Play A B A B ...: `rounds` of each side, in the order given."""
    played: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, play in sides.items():
            played[name].append(play())
    return played


def alternate_quietly(
    sides: Mapping[str, Callable[[], T]],
    rounds: int,
    noise: Callable[[T], float],
    *,
    quiet: float = QUIET,
    extra: int = 0,
) -> dict[str, list[T]]:
    """Play A B A B ... and keep the `rounds` quietest turns, in the order they were played.

    A turn is as noisy as its noisiest side. As long as there are too few quiet turns, up to `extra` more are
    played. The choice looks at `noise` alone, never at a result, so it favours neither side.
    """
    turns: list[dict[str, T]] = []

    def loudness(turn: dict[str, T]) -> float:
        return max(noise(played) for played in turn.values())

    while len(turns) < rounds + extra:
        turns.append({name: play() for name, play in sides.items()})
        if sum(loudness(turn) <= quiet for turn in turns) >= rounds:
            break
    kept = sorted(sorted(range(len(turns)), key=lambda i: loudness(turns[i]))[:rounds])
    return {name: [turns[i][name] for i in kept] for name in sides}


def paired_ratio(ours: Sequence[float], peer: Sequence[float]) -> float | None:
    """Give the median of ours/peer over the pairs of rounds; `None` when a side has none or measured zero."""
    pairs = list(zip(ours, peer, strict=False))
    if not pairs or any(theirs == 0 for _, theirs in pairs):
        return None
    return statistics.median(mine / theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class Goal:
    """What a measure must reach."""

    target: Target
    limit: float

    def met_by(self, value: float | None) -> bool:
        """Tell whether the ratio, or our value, reaches it. What could not be measured does not."""
        if value is None:
            return False
        return value >= self.limit if self.target == "ratio at least" else value <= self.limit


@dataclass
class Row:
    """One line of the report: the rounds of one measure on both sides."""

    group: str
    name: str
    unit: str
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    goal: Goal | None = None
    note: str = ""
    extra: dict[str, float] = field(default_factory=dict)
    """Medians that go with it, by name, e.g. `ours server us/step`."""
    error: str | None = None

    @property
    def ratio(self) -> float | None:
        """Give ours/peer, paired."""
        return paired_ratio(self.ours, self.peer)

    @property
    def reached(self) -> bool | None:
        """Tell whether the goal is reached; `None` when there is no goal."""
        if self.goal is None:
            return None
        if self.error is not None:
            return False
        if self.goal.target == "value at most":
            return self.goal.met_by(statistics.median(self.ours) if self.ours else None)
        return self.goal.met_by(self.ratio)
