"""Names of OpenEnv's modules, each loaded from a module of ours when it is used; below, the fronts of its packages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from openenv_async.compat import modules

_EXTRA = {"fastapi": "compat", "pydantic": "compat", "fastmcp": "mcp"}


class MissingExtra(ImportError):
    """A module of OpenEnv's needs a package that is not installed."""


def load_module(ours: str, asked_for: str) -> ModuleType:
    """Import the module of ours that stands for a name of OpenEnv's.

    Raises:
        MissingExtra: it needs a package that an extra installs.
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


def load(front: ModuleType, name: str, homes: Mapping[str, str], absent: Mapping[str, str]) -> Any:
    """Return a name of a front, and keep it there.

    Args:
        front: the module that was asked.
        name: the name.
        homes: for each name, the module of ours that has it.
        absent: names that 0.10.0 has and this package does not, with what to do instead.

    Raises:
        ImportError: it is one of `absent`. Not an AttributeError, whose text `from x import y` drops.
        AttributeError: there is no such name, here or in 0.10.0.
    """
    if name in absent:
        raise ImportError(f"{name} of OpenEnv is not part of openenv-async: {absent[name]}", name=front.__name__)
    if name not in homes:
        raise AttributeError(f"module {front.__name__!r} has no attribute {name!r}")
    value = getattr(load_module(homes[name], f"{name} of OpenEnv"), name)
    setattr(front, name, value)
    return value


def child(package: str, name: str) -> ModuleType | None:
    """Return the module of this name below a package of OpenEnv's, or `None` where 0.10.0 has no such module.

    `from package import module` looks for it under the name of our own module, where it is not.

    Raises:
        ImportError: 0.10.0 has it and this package does not.
    """
    full = f"{package}.{name}"
    known = full in modules.MODULES or full in modules.ABSENT
    return importlib.import_module(full) if known else None
