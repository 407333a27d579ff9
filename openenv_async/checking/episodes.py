"""Episodes as they are seen: a moment after each call, and where two of them differ."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from openenv_async.errors import EnvironmentFailed
from openenv_async.results import StepResult
from openenv_async.validation.comparing import difference
from openenv_async.validation.subject import Client


@dataclass(frozen=True, slots=True)
class Moment:
    """What could be seen after one call of an episode."""

    observation: Any
    reward: Any
    done: bool
    state: Any

    def differs(self, other: Moment, *, state: bool = True) -> str | None:
        """Name the first place at which another moment differs."""
        found = (
            difference(self.observation, other.observation)
            or difference(self.reward, other.reward, "reward")
            or difference(self.done, other.done, "done")
        )
        return found or (difference(self.state, other.state, "state") if state else None)


def counts_steps(moments: list[Moment]) -> bool:
    """Whether the state's `step_count` grew by one with each moment."""
    counts = [moment.state.get("step_count") if isinstance(moment.state, dict) else None for moment in moments]
    pairs = zip(counts, counts[1:], strict=False)
    return all(isinstance(a, int) and isinstance(b, int) and b == a + 1 for a, b in pairs)


async def look(client: Client, result: StepResult[Any]) -> Moment:
    """Give everything that can be seen now."""
    state: Any = None
    with contextlib.suppress(EnvironmentFailed):  # an environment without a state can be played all the same
        state = plain_state(await client.state())
    return Moment(result.observation, result.reward, result.done, state)


def plain_state(state: Any) -> Any:
    """Leave out what is different in every episode."""
    if not isinstance(state, dict):
        return state
    return {key: value for key, value in state.items() if key != "episode_id"}


async def play_on(client: Client, moments: list[Moment], actions: list[Any]) -> None:
    """Play actions to the end of the episode; add what is seen."""
    for action in actions:
        if moments and moments[-1].done:
            return
        try:
            result = await client.step(action)
        except EnvironmentFailed as error:
            result = StepResult({"raised": type(error).__name__})
        moments.append(await look(client, result))
