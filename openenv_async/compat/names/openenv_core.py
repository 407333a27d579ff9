"""The front of `openenv_core`, the older name of `openenv.core`: the same names, with a warning."""

from __future__ import annotations

import warnings
from typing import Any

from openenv_async.compat.names import core

warnings.warn("openenv_core is deprecated; import from openenv.core instead.", DeprecationWarning, stacklevel=2)


def __getattr__(name: str) -> Any:
    return getattr(core, name)


def __dir__() -> list[str]:
    return dir(core)
