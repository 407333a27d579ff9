"""What goes into the environment and what comes out of it.

Edit these classes first: the server, both clients and the JSON Schema at
`/schema` follow them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from openenv_async import Action, Observation


class CodingAction(Action):
    """The agent says a word."""

    message: Annotated[str, Meta(description="The word to say")]


class CodingObservation(Observation):
    """What the agent sees. `done`, `reward` and `metadata` come from the base class."""

    prompt: Annotated[str, Meta(description="The word to repeat")]
    echoed_message: Annotated[str, Meta(description="The word just said")] = ""
