"""What goes into the environment and what comes out of it.

The fields are those of OpenEnv's first echo environment.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from openenv_async import Action, Observation


class EchoAction(Action):
    """The agent says something. Saying nothing ends the episode."""

    message: Annotated[str, Meta(description="The message to send back")]


class EchoObservation(Observation):
    """What the agent hears. `done`, `reward` and `metadata` come from the base class."""

    echoed_message: Annotated[str, Meta(description="The message, as it came")]
    message_length: Annotated[int, Meta(description="Its length in characters")] = 0
