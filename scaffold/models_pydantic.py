"""What goes into the environment and what comes out of it.

Edit these classes first: the server, both clients and the JSON Schema at
`/schema` follow them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class __ENV_CLASS__Action(BaseModel):
    """The agent says a word."""

    # Refuse fields that do not exist, with an error that names them.
    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="The word to say")


class __ENV_CLASS__Observation(BaseModel):
    """What the agent sees. The runtime reads `done`, `reward` and `metadata`."""

    prompt: str = Field(description="The word to repeat")
    echoed_message: str = Field(default="", description="The word just said")
    done: bool = False
    reward: float | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
