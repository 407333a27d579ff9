"""`openenv.core.client_types`: the result of a step.

Not `openenv_async.results.StepResult`, which has more fields: trainers compare
results, unpack them with `dataclasses.asdict`, and read `vars()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ObsT = TypeVar("ObsT")
StateT = TypeVar("StateT")


@dataclass
class StepResult(Generic[ObsT]):
    """The outcome of one `reset()` or `step()`."""

    observation: ObsT
    """As the client's `_parse_result` returned it."""

    reward: float | None = None
    """The environment's reward; an int stays an int."""

    done: bool = False
    """The episode has ended."""

    metadata: dict[str, Any] | None = None
    """The observation's metadata, where the server sent any."""
