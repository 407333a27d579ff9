"""The import hook: a meta-path finder that answers for OpenEnv's names from the table in `modules`.

A name of the table becomes another name for a module of ours, so that each class
exists once, under every name it is imported by. A module that 0.10.0 has and this
package does not raises `ModuleNotFoundError` with what to do instead; for any other
name the error is the usual one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Literal, cast

from openenv_async.compat import modules
from openenv_async.compat.names import load_module

VARIABLE = "OPENENV_COMPAT"
"""Set to `auto`, `force` or `off`, so that child processes can do the same: see `apply`."""

Mode = Literal["auto", "force", "off"]


class CompatFinder(MetaPathFinder):
    """Finds the modules of the table for the top names that it was given."""

    def __init__(self, tops: frozenset[str]) -> None:
        self.tops = tops

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module of a name below one of the top names.

        Raises:
            ModuleNotFoundError: there is no such name, here or in 0.10.0; the text says which. Raised here, because
                another finder would look for it among our own files.
        """
        if fullname.partition(".")[0] not in self.tops:
            return None
        current = modules.new_name(fullname) if fullname.startswith(f"{modules.OLD_NAME}.") else fullname
        ours = modules.MODULES.get(current) if current is not None else None
        if ours is not None:
            return ModuleSpec(fullname, _Alias(ours), is_package=modules.is_package(cast("str", current)))
        instead = modules.alternative(current) if current is not None else None
        if instead is not None:
            text = f"{fullname} is not part of openenv-async, which answers for `openenv` here: {instead}"
            raise ModuleNotFoundError(text, name=fullname)
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


class _Alias(Loader):
    """Adds another name for a module of ours."""

    def __init__(self, ours: str) -> None:
        self.ours = ours

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None  # a new one, which `exec_module` replaces; ours itself would get another `__spec__`

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        real = load_module(self.ours, name)
        if not hasattr(real, "__path__") and module.__spec__ and module.__spec__.submodule_search_locations is not None:
            real.__path__ = []  # the import system requires it of a module with others below it
        sys.modules[name] = real


def real_one(top: str) -> str | None:
    """Return where the real package of this name is installed, or `None`. A folder without `__init__.py` is not one."""
    loaded = sys.modules.get(top)
    if loaded is not None and not loaded.__name__.startswith("openenv_async."):
        return getattr(loaded, "__file__", None) or top
    spec = PathFinder.find_spec(top)
    return spec.origin if spec is not None else None


def install(force: bool = False) -> tuple[str, ...]:
    """Answer `import openenv` and `import openenv_core` in this process from now on.

    A name whose real package is installed is left alone, unless `force`. Repeating the call changes nothing, except
    that a forced call takes over names that an earlier call left alone.

    Returns:
        The names that are answered here: none, one, or both.

    Raises:
        ImportError: `force`, but the real package is imported already: code that has its classes would mix them with
            ours.
    """
    taken = {top: where for top in modules.TOP_NAMES if (where := real_one(top)) is not None}
    if force and (loaded := sorted(top for top in taken if top in sys.modules and not _is_ours(top))):
        raise ImportError(f"{loaded[0]} is imported already, from {taken[loaded[0]]}: install compat before that")
    tops = frozenset(top for top in modules.TOP_NAMES if force or top not in taken) | answered()
    uninstalled = [finder for finder in sys.meta_path if not isinstance(finder, CompatFinder)]
    sys.meta_path[:] = [CompatFinder(tops), *uninstalled] if tops else uninstalled
    os.environ[VARIABLE] = "force" if force else "auto"
    return tuple(sorted(tops))


def uninstall() -> None:
    """Undo `install`. Modules that are already imported stay usable."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, CompatFinder)]
    for name in [name for name in sys.modules if name.partition(".")[0] in modules.TOP_NAMES and _is_ours(name)]:
        del sys.modules[name]
    os.environ.pop(VARIABLE, None)


def answered() -> frozenset[str]:
    """The top names that are answered in this process."""
    return frozenset(top for finder in sys.meta_path if isinstance(finder, CompatFinder) for top in finder.tops)


def installed() -> bool:
    """Whether any of OpenEnv's names is answered in this process."""
    return bool(answered())


def apply(mode: str | None = None) -> None:
    """Install the hook as `--compat` says; without a mode, as the parent process did.

    Args:
        mode: `auto` answers where the real package is not installed, `force` in any case, `off` never.

    Raises:
        ValueError: there is no such mode.
        ImportError: as `install` does.
    """
    chosen = mode if mode is not None else os.environ.get(VARIABLE, "off")
    if chosen not in ("auto", "force", "off"):
        raise ValueError(f"compat is {chosen!r}: it must be auto, force or off")
    os.environ[VARIABLE] = chosen
    if chosen != "off":
        install(force=chosen == "force")


def _is_ours(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and module.__name__.startswith("openenv_async.")
