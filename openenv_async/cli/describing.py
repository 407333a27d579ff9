"""`python -m openenv_async.cli.describing FOLDER FILE`: writes a description of an environment's code as JSON lines.

The child process of `conformance.project.code`: it imports the environment as
`openenv serve` does. Each line is written when its stage is over, so that a child that
ends early leaves the stages it completed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from openenv_async.cli.compat import VARIABLE, apply_compat
from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.failures import load_failed
from openenv_async.cli.import_path import mount
from openenv_async.cli.targets import FolderTarget, locate

_CLASSES = ("action", "observation", "state")


def main(folder: str, file: str) -> None:
    """Describe the environment in `folder`, with a line in `file` for each stage."""
    apply_compat(os.environ.get(VARIABLE, "auto"))
    target = locate(folder)
    assert isinstance(target, FolderTarget)  # `locate` returns it for every folder
    environment = _Environment(target)
    with Path(file).open("w", encoding="utf-8") as answers:
        for stage, describe in (
            ("models", environment.models),
            ("app", environment.app),
            ("client", environment.client),
            ("script", environment.script),
        ):
            line = _answer(stage, describe)
            answers.write(json.dumps(line, default=str) + "\n")
            answers.flush()


def _answer(stage: str, describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"stage": stage, "ok": True, "values": describe()}
    except CommandFailed as error:
        problem, _, hint = error.message.partition("\nInstall what it needs: ")
        return {"stage": stage, "ok": False, "problem": problem, "hint": hint or None}


class _Environment:
    """One environment. Its package is imported once, by the first stage that needs it."""

    def __init__(self, target: FolderTarget) -> None:
        self._target, self._folder = target, target.folder
        self._loaded: Any = None

    def models(self) -> dict[str, Any]:
        """Import `models`, where there is one."""
        module = self._import("models")
        if module is None:
            return {"there": False}
        own = [value for value in vars(module).values() if isinstance(value, type)]
        names = {value.__name__ for value in own if value.__module__ == module.__name__}
        return {"there": True, "classes": sorted(name for name in names if not name.startswith("_"))}

    def app(self) -> dict[str, Any]:
        """Load the app, and return its classes and limits."""
        self._loaded = self._target.load()
        server = getattr(self._loaded, "server", None)
        blueprint = getattr(server, "blueprint", None)
        if server is None or blueprint is None:
            return {"kind": "asgi", "class": type(self._loaded).__qualname__}
        codecs = dict(zip(_CLASSES, self._codecs(), strict=True))
        factory = blueprint.env_cls
        return {
            "kind": "create_app",
            "name": blueprint.name,
            "environment": blueprint.factory_name,
            "description": (inspect.getdoc(factory) or "").partition("\n")[0] if factory is not None else None,
            "classes": {key: _name(codec.cls) for key, codec in codecs.items()},
            "schemas": {key: codec.schema() for key, codec in codecs.items()},
            "execution": blueprint.execution or ("inline" if blueprint.is_async() else "thread"),
            "max_sessions": server.limits.max_sessions,
            "alone": getattr(factory, "SUPPORTS_CONCURRENT_SESSIONS", True) is False,
        }

    def client(self) -> dict[str, Any]:
        """Import `client`, where there is one, and compare its type arguments with the app's classes."""
        module = self._import("client")
        if module is None:
            return {"there": False}
        clients = {name: _codecs_of(value) for name, value in vars(module).items() if _is_own_client(value, module)}
        known = getattr(getattr(self._loaded, "server", None), "blueprint", None) is not None
        return {
            "there": True,
            "compared": known,
            "clients": {name: self._compared(codecs) if known else [] for name, codecs in clients.items()},
        }

    def script(self) -> dict[str, Any]:
        """Resolve the `server` script of the project."""
        from openenv_async.conformance.project.pyproject import server_script

        entry = server_script(self._folder)
        if entry is None or self._loaded is None:
            return {"there": entry is not None}
        module_name, _, attribute = entry.partition(":")
        head, _, rest = module_name.strip().partition(".")
        inside = rest if rest and head in (self._target.name, self._folder.name) else module_name.strip()
        value: Any = self._import(inside)
        for part in attribute.strip().split("."):
            value = getattr(value, part, None)
        if not callable(value):
            raise CommandFailed(f"the `server` script names {entry}, which is not a function")
        return {"there": True}

    def _import(self, name: str) -> ModuleType | None:
        file = self._folder.joinpath(*name.split("."))
        if not file.with_suffix(".py").is_file() and not (file / "__init__.py").is_file():
            return None
        try:
            package = mount(self._folder, self._target.name, self._target.module)
            return importlib.import_module(f"{package}.{name}")
        except (Exception, SystemExit) as error:
            raise load_failed(f"{name} in {self._folder}", self._folder, error) from error

    def _codecs(self) -> tuple[Any, Any, Any]:
        blueprint = self._loaded.server.blueprint
        return blueprint.action, blueprint.observation.model, blueprint.state

    def _compared(self, codecs: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Return the classes that differ."""
        differing = []
        for key, theirs, ours in zip(_CLASSES, codecs, self._codecs(), strict=True):
            mine = ours.cls
            if theirs is mine:
                continue
            untyped = theirs is None or theirs is dict or theirs is Any
            differing.append({"what": key, "client": None if untyped else _name(theirs), "app": _name(mine)})
        return differing


def _is_own_client(value: Any, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__ and _codecs_of(value) is not None


def _codecs_of(cls: Any) -> Any:
    """Return the three classes of a client's type arguments, of an async client or a sync one."""
    codecs = getattr(getattr(cls, "_inner_class", cls), "_codecs", None)
    if codecs is None:
        return None
    return codecs.action.cls, codecs.observation.model.cls, codecs.state.cls


def _name(cls: Any) -> str | None:
    if cls is None:
        return None
    name = getattr(cls, "__qualname__", None) or str(cls)
    module = getattr(cls, "__module__", "")
    return f"{module}.{name}" if not re.fullmatch(r"builtins|", module) else name


if __name__ == "__main__":
    main(*sys.argv[1:])
