"""Import finder that makes an environment's folder importable, whatever its place and name.

Authors write `from ..models import X` and `from models import X`, sometimes each in
a different file, and the folder's name may differ from the package's. All of these
names lead to one set of modules here, so a class never exists twice. The folder is
not put on `sys.path`, where one of its files could hide a module of the standard
library. `cli.targets` uses it.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import logging
import re
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

logger = logging.getLogger("openenv_async.cli")


def mount(folder: Path, name: str, app_module: str) -> str:
    """Make a folder importable and return the name of its package.

    Args:
        folder: the environment's folder, absolute.
        name: its name in the manifest.
        app_module: the module that will be imported, relative to the folder; distinguishes the folder's own
            package, installed elsewhere, from another of the same name.
    """
    for finder in sys.meta_path:
        if isinstance(finder, FolderFinder) and finder.folder == folder:
            return finder.package
    wanted = [_identifier(name), _identifier(folder.name)]
    free = [candidate for candidate in dict.fromkeys(wanted) if _is_free(candidate, folder, app_module)]
    package = free[0] if free else _unused(f"{wanted[0]}_served")
    finder = FolderFinder(folder, package, frozenset(free[1:]))
    sys.meta_path.insert(0, finder)
    finder.load_package()
    return package


class FolderFinder(MetaPathFinder):
    """Finder for the folder as `package`, for its other names, and for its files as top-level modules."""

    def __init__(self, folder: Path, package: str, aliases: frozenset[str]) -> None:
        self.folder = folder
        self.package = package
        self._aliases = aliases
        self._files = frozenset(_importable(folder)) - sys.stdlib_module_names - {package}
        self._bare = False

    def load_package(self) -> None:
        """Import the package itself, without its `__init__.py` when that cannot be imported.

        Servers started inside the folder never read that file, and it may
        import a client that is not installed where the server runs.
        """
        try:
            importlib.import_module(self.package)
        except ImportError as error:
            self._bare = True
            importlib.import_module(self.package)
            logger.warning(
                "%s could not be imported (%s: %s); the environment is loaded without it",
                self.folder / "__init__.py",
                type(error).__name__,
                error,
            )

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the package, its aliases and the folder's own files; leave every other name to other finders."""
        head, _, rest = fullname.partition(".")
        if fullname == self.package:
            return self._package_spec()
        if head in self._aliases:
            return _same(fullname, f"{self.package}.{rest}" if rest else self.package)
        if head in self._files:
            return _same(fullname, f"{self.package}.{fullname}")
        return None

    def _package_spec(self) -> ModuleSpec | None:
        init = self.folder / "__init__.py"
        if init.is_file() and not self._bare:
            return importlib.util.spec_from_file_location(
                self.package, init, submodule_search_locations=[str(self.folder)]
            )
        spec = ModuleSpec(self.package, None, is_package=True)
        spec.submodule_search_locations = [str(self.folder)]
        return spec


class _SameModule(Loader):
    """Loader that returns a loaded module under a second name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the second name's spec over its own.
        module.__spec__ = self._spec


def _same(fullname: str, real: str) -> ModuleSpec | None:
    try:
        module = importlib.import_module(real)
    except ModuleNotFoundError as error:
        if error.name == real:
            return None
        raise
    return ModuleSpec(fullname, _SameModule(module), is_package=hasattr(module, "__path__"))


def _importable(folder: Path) -> list[str]:
    names = []
    for entry in folder.iterdir():
        is_module = entry.suffix == ".py" and entry.is_file()
        is_package = entry.is_dir() and next(entry.glob("*.py"), None) is not None
        if (is_module or is_package) and entry.stem.isidentifier() and entry.stem != "__init__":
            names.append(entry.stem)
    return names


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name) or "_"
    return f"_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain


def _is_free(name: str, folder: Path, app_module: str) -> bool:
    """Return whether a name can mean the folder: nothing else that is installed has that name."""
    if name in sys.stdlib_module_names or name in sys.modules:
        return False
    spec = PathFinder.find_spec(name)
    if spec is None or spec.loader is None or not spec.submodule_search_locations:
        # A plain module is something else; a folder that merely lies on the path may be this one.
        return spec is None or spec.loader is None
    app_file = Path(*app_module.split(".")).with_suffix(".py")
    places = [Path(place) for place in spec.submodule_search_locations]
    # The folder wins over an installed copy of this environment: the user asked for it.
    return any(place == folder or (place / app_file).is_file() for place in places)


def _unused(name: str) -> str:
    while name in sys.modules or PathFinder.find_spec(name) is not None:
        name += "_"
    return name
