"""What goes into the environment and what comes out of it.

Edit these classes first: the server, both clients and the JSON Schema at
`/schema` follow them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class __ENV_CLASS__Action:
    """The agent says a word."""

    message: str


@dataclass(kw_only=True)
class __ENV_CLASS__Observation:
    """What the agent sees. The runtime reads `done`, `reward` and `metadata`."""

    prompt: str
    echoed_message: str = ""
    done: bool = False
    reward: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
