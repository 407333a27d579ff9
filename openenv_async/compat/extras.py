"""The packages that parts of compat need, and the sentence for whoever has not installed them."""

from __future__ import annotations

import importlib
from types import ModuleType

_EXTRA = {"fastapi": "compat", "pydantic": "compat", "fastmcp": "mcp"}


class MissingExtra(ImportError):
    """A package that the answer needs is not installed."""


def load_module(ours: str, asked_for: str) -> ModuleType:
    """Import the module of ours that answers for a name of OpenEnv's.

    Raises:
        MissingExtra: it needs a package that an extra brings.
        ImportError: anything else that its import raised.
    """
    try:
        return importlib.import_module(ours)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        extra = f"pip install 'openenv-async[{_EXTRA[missing]}]'"
        text = f"{asked_for} needs {missing}, which is not installed: {extra}"
        raise MissingExtra(text, name=asked_for) from error
