"""A front's names, loaded when they are used: what `__getattr__` of the fronts does."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from openenv_async.compat import modules
from openenv_async.compat.extras import load_module


def load(front: ModuleType, name: str, homes: Mapping[str, str], absent: Mapping[str, str]) -> Any:
    """Give a name of a front, and keep it there.

    Args:
        front: the module that was asked.
        name: what was asked for.
        homes: for each name, the module of ours that has it.
        absent: names that 0.10.0 has and we lack, with what to do instead.

    Raises:
        ImportError: it is one of `absent`. No AttributeError, whose text `from x import y` throws away.
        AttributeError: there is no such name, here or on 0.10.0.
    """
    if name in absent:
        raise ImportError(f"{name} of OpenEnv is not part of openenv-async: {absent[name]}", name=front.__name__)
    if name not in homes:
        raise AttributeError(f"module {front.__name__!r} has no attribute {name!r}")
    value = getattr(load_module(homes[name], f"{name} of OpenEnv"), name)
    setattr(front, name, value)
    return value


def child(package: str, name: str) -> ModuleType | None:
    """Give the module of this name below a package of OpenEnv's, or `None` where 0.10.0 has no such module.

    `from package import module` looks for it under the name that our module has, where it is not.

    Raises:
        ImportError: 0.10.0 has it and we lack it.
    """
    full = f"{package}.{name}"
    known = full in modules.MODULES or full in modules.ABSENT
    return importlib.import_module(full) if known else None
