"""`openenv.core.tools`: tools of environments to run code and to work on git repositories.

`PyExecutor` is None where smolagents, which does its work, is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from openenv_async.compat.tools.git_server_client import GitServerClient, RepoInfo

__all__ = ["GitServerClient", "PyExecutor", "RepoInfo"]


def __getattr__(name: str) -> Any:
    if name != "PyExecutor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if importlib.util.find_spec("smolagents") is None:
        return None
    return importlib.import_module(f"{__name__}.local_python_executor").PyExecutor
