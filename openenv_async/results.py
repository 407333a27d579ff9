"""What a call returns to the trainer.

Owns `StepResult` and `Episode`. The client makes them, `codec` knows how they travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from openenv_async.errors import EnvError

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")


@dataclass(slots=True)
class StepResult(Generic[ObsT]):
    """The outcome of one `reset()` or `step()`.

    The first four fields are OpenEnv's, in its order and with its defaults.
    """

    observation: ObsT
    """An instance of the client's observation class, or a dict for an untyped client."""

    reward: float | None = None
    """The environment's reward, as it left: `None`, a bool, an int or a float, NaN included."""

    done: bool = False
    """The episode has ended, for whatever reason."""

    metadata: dict[str, Any] | None = None
    """The observation's metadata; `None` when it is empty or there is none."""

    truncated: bool = False
    """The episode was cut short (a step limit), rather than reaching an end of its own."""

    session_id: str | None = None
    """The server's name of the session, as it appears in the server's log; `None` on the JSON wire."""

    request_id: int | None = None
    """The request's number in the session, which the server's log has too."""

    warnings: tuple[str, ...] = field(default=())
    """What the server did not do as asked, e.g. a reset argument that the environment does not take."""


@dataclass(slots=True)
class Episode(Generic[ActT, ObsT]):
    """One episode as `run_episode` played it: of the attempt that reached its end, and nothing of those before it."""

    first: StepResult[ObsT]
    """What `reset()` returned."""

    actions: list[ActT] = field(default_factory=list)
    """What the policy chose, in order."""

    results: list[StepResult[ObsT]] = field(default_factory=list)
    """What followed: `results[n]` is the answer to `actions[n]`."""

    failures: tuple[EnvError, ...] = ()
    """Why earlier attempts were given up, in order; each was started over in a fresh session."""

    stopped: bool = False
    """`max_steps` was reached before the environment said `done`."""

    @property
    def last(self) -> StepResult[ObsT]:
        """The newest result: the last step's, or `first` when there was none."""
        return self.results[-1] if self.results else self.first

    @property
    def observations(self) -> list[ObsT]:
        """Every observation, the first one too: one more than there are actions."""
        return [self.first.observation, *(result.observation for result in self.results)]

    @property
    def rewards(self) -> list[float | None]:
        """The reward of each action, as it came."""
        return [result.reward for result in self.results]

    @property
    def total_reward(self) -> float:
        """The sum of the rewards; a step without one counts 0."""
        return float(sum(result.reward or 0.0 for result in self.results))

    @property
    def length(self) -> int:
        """Steps played."""
        return len(self.results)

    @property
    def done(self) -> bool:
        """The environment said that the episode has ended."""
        return self.last.done

    @property
    def truncated(self) -> bool:
        """Cut short, by the environment or by `max_steps`, rather than ended by what happened in it."""
        return self.stopped or self.last.truncated

    @property
    def attempts(self) -> int:
        """How often it was begun; 1 when nothing failed."""
        return len(self.failures) + 1
