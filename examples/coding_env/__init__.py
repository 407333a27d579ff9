"""Coding: an environment, and the clients that play it on any server.

Importing this package loads the clients and the models, never the server.
"""

from __future__ import annotations

from .client import AsyncCodingEnv, CodingEnv
from .models import Check, CodingAction, CodingObservation

__all__ = ["AsyncCodingEnv", "Check", "CodingAction", "CodingEnv", "CodingObservation"]
