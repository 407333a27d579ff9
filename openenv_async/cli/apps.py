"""Makes an ASGI app from an attribute of the user's module.

An ASGI app is used as it is, a factory is called, an app is created for an
Environment class; anything else is an error that names it.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.failures import load_failed
from openenv_async.cli.manifest import shown

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def app_from(module: ModuleType, attribute: str, folder: Path) -> ASGIApp:
    """Return the app that `module.attribute` is or makes.

    Args:
        module: imported already.
        attribute: may have dots.
        folder: the user's code, for the line of an error.

    Raises:
        CommandFailed: there is no such attribute, or it cannot be served.
    """
    where = f"{shown(Path(module.__file__)) if module.__file__ else module.__name__}"
    what = f"{attribute} in {where}"
    value: Any = module
    try:
        for part in attribute.split("."):
            if not hasattr(value, part):
                raise CommandFailed(f"{where} has no {attribute!r}{_candidates(module)}")
            value = getattr(value, part)
        return _as_app(value, what)
    except CommandFailed:
        raise
    except (Exception, SystemExit) as error:
        raise load_failed(what, folder, error) from error


def _as_app(value: Any, what: str) -> ASGIApp:
    if _is_environment_class(value):
        from openenv_async.server import create_app_for

        return create_app_for(value)
    if _is_asgi(value):
        return cast("ASGIApp", value)
    if inspect.iscoroutinefunction(value):
        raise CommandFailed(f"{what} is an async function: a factory must be a plain `def` that returns the app")
    if callable(value) and not isinstance(value, type) and not _required(value):
        made = value()
        if _is_asgi(made):
            return cast("ASGIApp", made)
        raise CommandFailed(f"{what} returned {_a(made)}: a factory must return the app, usually create_app(...)")
    if callable(value) and not isinstance(value, type):
        raise CommandFailed(f"{what} wants the arguments {', '.join(_required(value))}: a factory takes none")
    if _is_environment_class(type(value)):
        raise CommandFailed(f"{what} is one {type(value).__name__} object: every session needs its own; name the class")
    raise CommandFailed(f"{what} is {_a(value)}: an ASGI app, a factory of one, or an Environment class can be served")


def _is_environment_class(value: Any) -> bool:
    return isinstance(value, type) and all(callable(getattr(value, name, None)) for name in ("reset", "step"))


def _is_asgi(value: Any) -> bool:
    if isinstance(value, type) or not callable(value):
        return False
    call = value if inspect.isroutine(value) else type(value).__call__
    if inspect.iscoroutinefunction(call):
        return len(_required(value)) == 3 or _takes_any(value)
    return _required(value) == ["scope", "receive", "send"]


def _takes_any(value: Any) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(value).parameters.values())


def _required(value: Any) -> list[str]:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in named and p.default is p.empty]


def _candidates(module: ModuleType) -> str:
    own = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    names = [k for k, v in own.items() if _is_asgi(v) or (_is_environment_class(v) and v.__module__ == module.__name__)]
    if names:
        return f"; it has {', '.join(names)}, which can be served: name it after the colon"
    return ": it must define the app, usually app = create_app(...)"


def _a(value: Any) -> str:
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
