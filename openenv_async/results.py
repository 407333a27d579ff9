"""What a call gives back to the trainer.

Owns `StepResult`. The client makes them, `codec` knows how they travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

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

    warnings: tuple[str, ...] = field(default=())
    """What the server did not do as asked, e.g. a reset argument that the environment does not take."""
