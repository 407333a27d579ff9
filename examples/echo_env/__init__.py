"""Echo: an environment, and the clients that play it on any server.

Importing this package loads the clients and the models, never the server.
"""

from __future__ import annotations

from .client import AsyncEchoEnv, EchoEnv
from .models import EchoAction, EchoObservation

__all__ = ["AsyncEchoEnv", "EchoAction", "EchoEnv", "EchoObservation"]
