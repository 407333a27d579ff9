"""Episodes as they are seen: a moment after each call, and where two episodes differ."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openenv_async.conformance.comparing import difference
from openenv_async.conformance.target import Client
from openenv_async.errors import EnvironmentFailed
from openenv_async.results import StepResult


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen after one call of an episode."""

    observation: Any
    reward: Any
    done: bool
    state: Any = None

    def differs(self, other: Moment, *, state: bool = False) -> str | None:
        """Return the first place at which another moment differs, in words."""
        found = (
            difference(self.observation, other.observation)
            or difference(self.reward, other.reward, "reward")
            or difference(self.done, other.done, "done")
        )
        return found or (difference(self.state, other.state, "state") if state else None)


def first_difference(
    one: Sequence[Moment], other: Sequence[Moment], *, state: bool = False, lengths: bool = False
) -> str | None:
    """Return the first moment at which two episodes differ, and how: `step 2: reward is 1 and then 0`.

    Args:
        one: an episode, from its reset on.
        other: an episode to compare with it.
        state: compare the states too.
        lengths: that one has more steps is a difference.
    """
    for number, (first, second) in enumerate(zip(one, other, strict=False)):
        if differs := first.differs(second, state=state):
            return f"step {number}: {differs}" if number else f"reset: {differs}"
    if lengths and len(one) != len(other):
        return f"the end: there are {len(one) - 1} steps and then {len(other) - 1}"
    return None


def counts_steps(moments: Sequence[Moment]) -> bool:
    """Whether the state's `step_count` grew by one with each moment."""
    counts = [moment.state.get("step_count") if isinstance(moment.state, dict) else None for moment in moments]
    pairs = zip(counts, counts[1:], strict=False)
    return all(isinstance(a, int) and isinstance(b, int) and b == a + 1 for a, b in pairs)


async def look(client: Client, result: StepResult[Any], *, state: bool = True) -> Moment:
    """Return everything that can be seen after a call; without `state`, the state is not asked for."""
    seen: Any = None
    if state:
        with contextlib.suppress(EnvironmentFailed):  # an environment without a state can be played all the same
            seen = await client.state()
    if isinstance(seen, dict):
        seen = {key: value for key, value in seen.items() if key != "episode_id"}  # differs in every episode
    return Moment(result.observation, result.reward, result.done, seen)


async def play_on(client: Client, moments: list[Moment], actions: Sequence[Any], *, state: bool = True) -> None:
    """Play actions to the end of the episode, and add what is seen."""
    for action in actions:
        if moments and moments[-1].done:
            return
        try:
            result = await client.step(action)
        except EnvironmentFailed as error:
            result = StepResult({"raised": type(error).__name__})
        moments.append(await look(client, result, state=state))
