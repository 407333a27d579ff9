"""Wordle: an environment, and the clients that play it on any server.

Importing this package loads the clients and the models, never the server.
"""

from __future__ import annotations

from .client import AsyncWordleEnv, WordleEnv
from .models import Row, WordleAction, WordleObservation, WordleState, judge
from .words import WORDS

__all__ = [
    "WORDS",
    "AsyncWordleEnv",
    "Row",
    "WordleAction",
    "WordleEnv",
    "WordleObservation",
    "WordleState",
    "judge",
]
