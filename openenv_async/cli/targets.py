"""Targets of `openenv serve`: a folder, a `.py` file, `module:app`, or `gym:ENV_ID`.

`locate` decides which, without importing user code; `load` on what it returns
imports it and returns an ASGI app. `cli.import_path` makes folders importable,
`cli.failures` makes the errors, `cli.apps` makes the app from an attribute.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from openenv_async.cli.apps import app_from
from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.failures import load_failed
from openenv_async.cli.import_path import mount
from openenv_async.cli.manifest import key_at, read_manifest, shown
from openenv_async.conformance.project.manifest import DEFAULT_PORT, FILE_NAME, Manifest

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_MODULE_AND_ATTRIBUTE = re.compile(r"([\w.]+):([\w.]+)")


class ServeTarget(Protocol):
    """Something that can be served."""

    @property
    def name(self) -> str:
        """The name that the user gave."""

    @property
    def port(self) -> int:
        """The port when the user names none."""

    @property
    def folder(self) -> Path | None:
        """Where its code is; watched by `--reload`."""

    def load(self) -> ASGIApp:
        """Import the target and return its app.

        Raises:
            CommandFailed: it cannot be imported, or cannot be served.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderTarget:
    """An app in an environment's folder."""

    name: str
    folder: Path
    module: str
    """The module's name relative to the folder: `server.app`."""
    attribute: str
    port: int = DEFAULT_PORT
    named_at: str | None = None
    """Where the manifest names the app, for the error when it is not there."""

    def load(self) -> ASGIApp:
        """Import the app as part of the folder's package."""
        file = self.folder.joinpath(*self.module.split("."))
        if not file.with_suffix(".py").is_file() and not (file / "__init__.py").is_file():
            where = f"{self.named_at}: " if self.named_at else ""
            raise CommandFailed(
                f"{where}there is no {shown(file.with_suffix('.py'))}, where {self.module}:{self.attribute} should be"
            )
        try:
            package = mount(self.folder, self.name, self.module)
            module = importlib.import_module(f"{package}.{self.module}")
        except (Exception, SystemExit) as error:
            raise load_failed(f"{self.module} in {shown(self.folder)}", self.folder, error) from error
        return app_from(module, self.attribute, self.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTarget:
    """An app in a single file, imported as a module of its own."""

    file: Path
    attribute: str
    port: int = DEFAULT_PORT

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file.stem

    @property
    def folder(self) -> Path:
        """The folder that the file is in."""
        return self.file.parent

    def load(self) -> ASGIApp:
        """Import the file as `python file.py` would find its neighbours: from its folder."""
        _put_on_path(self.folder)
        try:
            module = _import_file(self.file)
        except (Exception, SystemExit) as error:
            raise load_failed(shown(self.file), self.folder, error) from error
        return app_from(module, self.attribute, self.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleTarget:
    """An app in a module on the path, the working folder included."""

    module: str
    attribute: str
    port: int = DEFAULT_PORT
    folder: Path = field(default_factory=Path.cwd)

    @property
    def name(self) -> str:
        """The module's name."""
        return self.module

    def load(self) -> ASGIApp:
        """Import the module."""
        _put_on_path(self.folder)
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self.module}.".startswith(f"{error.name}."):
                raise CommandFailed(
                    f"there is no module {error.name!r}, neither in {self.folder} nor installed: "
                    "check the name before the colon"
                ) from error
            raise load_failed(self.module, self.folder, error) from error
        except (Exception, SystemExit) as error:
            raise load_failed(self.module, self.folder, error) from error
        return app_from(module, self.attribute, self.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class GymTarget:
    """A Gymnasium environment, by its id and the arguments of `gymnasium.make`."""

    env_id: str
    arguments: dict[str, Any]
    port: int = DEFAULT_PORT
    folder: None = None

    @property
    def name(self) -> str:
        """The id."""
        return self.env_id

    def load(self) -> ASGIApp:
        """Make its app."""
        from openenv_async.errors import UsageError
        from openenv_async.server.gym import gym_app

        try:
            return gym_app(self.env_id, **self.arguments)
        except (UsageError, ValueError) as error:
            raise CommandFailed(str(error)) from error


def locate(target: str) -> ServeTarget:
    """Find out what a target means, and read its manifest if it has one.

    Raises:
        BadInput: it cannot be served.
        CommandFailed: the folder's manifest is missing or invalid.
    """
    if target.startswith("gym:"):
        return _gym(target.removeprefix("gym:"))
    path = Path(target)
    if path.is_dir():
        return _folder(read_manifest(path.resolve()))
    if path.is_file():
        return _file(path, "app")
    file, _, attribute = target.rpartition(":")
    if file.endswith(".py") and attribute:
        if not Path(file).is_file():
            raise BadInput(f"there is no file {file}")
        return _file(Path(file), attribute)
    named = _MODULE_AND_ATTRIBUTE.fullmatch(target)
    if named:
        return _module(named[1], named[2])
    raise BadInput(
        f"there is no {target}: give the folder of an environment (it holds {FILE_NAME}), a .py file, module:app, "
        "or gym:ENV_ID"
    )


def _folder(manifest: Manifest) -> FolderTarget:
    module, _, attribute = manifest.app.partition(":")
    head, _, rest = module.partition(".")
    # `my_env.server.app:app`: the same, seen from outside the folder.
    if rest and head in (manifest.name, manifest.folder.name) and not (manifest.folder / head).is_dir():
        module = rest
    return FolderTarget(
        name=manifest.name,
        folder=manifest.folder,
        module=module,
        attribute=attribute,
        port=manifest.port,
        named_at=key_at(manifest, "app"),
    )


def _file(path: Path, attribute: str) -> FolderTarget | FileTarget:
    path = path.resolve()
    if path.suffix != ".py":
        raise BadInput(f"{shown(path)} is not a .py file: give a folder with {FILE_NAME}, a .py file, or module:app")
    for folder in list(path.parents)[:3]:
        parts = path.relative_to(folder).with_suffix("").parts
        # A file of an environment: its relative imports need the package around it.
        if (folder / FILE_NAME).is_file() and all(part.isidentifier() for part in parts):
            manifest = read_manifest(folder)
            return FolderTarget(
                name=manifest.name, folder=folder, module=".".join(parts), attribute=attribute, port=manifest.port
            )
    return FileTarget(file=path, attribute=attribute)


def _module(module: str, attribute: str) -> FolderTarget | ModuleTarget:
    here = Path.cwd()
    file = here.joinpath(*module.split("."))
    if (here / FILE_NAME).is_file() and (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()):
        manifest = read_manifest(here)
        return FolderTarget(name=manifest.name, folder=here, module=module, attribute=attribute, port=manifest.port)
    return ModuleTarget(module=module, attribute=attribute)


def _gym(rest: str) -> GymTarget:
    env_id, _, query = rest.partition("?")
    if not env_id:
        raise BadInput("gym: needs the id of an environment, e.g. gym:CartPole-v1")
    arguments = {}
    for item in filter(None, query.split("&")):
        key, equals, value = item.partition("=")
        if not equals or not key.isidentifier():
            raise BadInput(f"{item!r} in gym:{rest} must be name=value, e.g. gym:{env_id}?render_mode=rgb_array")
        try:
            arguments[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"the value of {key} in gym:{rest} cannot be read: write it as YAML") from None
    return GymTarget(env_id=env_id, arguments=arguments)


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _import_file(file: Path) -> ModuleType:
    taken = file.stem in sys.modules or file.stem in sys.stdlib_module_names or not file.stem.isidentifier()
    name = "openenv_app" if taken else file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
