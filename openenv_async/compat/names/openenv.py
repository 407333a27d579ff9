"""The front of `openenv`."""

from __future__ import annotations

import sys
from typing import Any

from openenv_async.compat.modules import ABSENT, MODULES
from openenv_async.compat.names import child, load

__version__ = "0.10.0"
"""The version whose names and behaviour are answered."""

_HOMES = {
    "GenericEnvClient": MODULES["openenv.core.generic_client"],
    "GenericAction": MODULES["openenv.core.generic_client"],
    "SyncEnvClient": MODULES["openenv.core.sync_client"],
}
_ABSENT = {"AutoEnv": ABSENT["openenv.auto"], "AutoAction": ABSENT["openenv.auto"], "cli": ABSENT["openenv.cli"]}

__all__ = ["core", *_HOMES]  # noqa: F822 - loaded by `__getattr__`


def __getattr__(name: str) -> Any:
    if name in _ABSENT:
        return load(sys.modules[__name__], name, _HOMES, _ABSENT)
    return child("openenv", name) or load(sys.modules[__name__], name, _HOMES, _ABSENT)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
