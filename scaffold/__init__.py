"""__ENV_TITLE__: an environment, and the clients that play it on any server.

Importing this package loads the clients and the models, never the server.
"""

from __future__ import annotations

from .client import Async__ENV_CLASS__Env, __ENV_CLASS__Env
from .models import __ENV_CLASS__Action, __ENV_CLASS__Observation

__all__ = ["Async__ENV_CLASS__Env", "__ENV_CLASS__Action", "__ENV_CLASS__Env", "__ENV_CLASS__Observation"]
