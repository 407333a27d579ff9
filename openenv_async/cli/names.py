"""Names that a new environment's project needs, derived from the environment's name.

Also decides which names are refused; `scaffolding` puts the others into the
template.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import keyword
import re
import sys
import sysconfig
from dataclasses import dataclass

from openenv_async.cli.errors import BadInput

_LONGEST = 40
_RUNTIME = frozenset({"openenv", "openenv_async", "openenv_sync"})
_INSIDE_A_PROJECT = frozenset({"client", "models", "server", "tests"})
_CLIENTS = frozenset({"AsyncEnv", "SyncEnv"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Names in the project of one environment; the examples are those of `my_env`."""

    package: str
    """The folder, and what Python imports: `my_env`."""

    stem: str
    """The same without a trailing `_env`, for file names: `my`."""

    classes: str
    """The prefix of class names: `My`."""

    @property
    def title(self) -> str:
        """The name for people: `My`."""
        return " ".join(word.capitalize() for word in self.stem.split("_") if word)

    @property
    def distribution(self) -> str:
        """The name for pip: `openenv-my-env`."""
        return "openenv-" + re.sub(r"_+", "-", self.package)

    @property
    def image(self) -> str:
        """The name of the Docker image: `openenv-my`."""
        return "openenv-" + re.sub(r"_+", "-", self.stem)


def parse_name(name: str) -> Names:
    """Check the name of a new environment and derive the others from it.

    Raises:
        BadInput: a project cannot be made, or used, under this name.
    """
    problem = _spelling(name) or _clash(name)
    if problem:
        raise BadInput(problem)
    names = _derive(name)
    if names.classes + "Env" in _CLIENTS:
        raise BadInput(
            f"The client class of {name!r} would be {names.classes}Env, which is the runtime's own; "
            "choose another name, such as my_env."
        )
    return names


def _derive(name: str) -> Names:
    stem = name.removesuffix("_env")
    return Names(package=name, stem=stem, classes="".join(word.capitalize() for word in stem.split("_")))


def _spelling(name: str) -> str | None:
    if not name:
        return "The name is empty; give one such as my_env."
    if "/" in name or "\\" in name:
        return f"{name!r} is a path, not a name; say where the project goes with --output-dir."
    if keyword.iskeyword(name):
        return f"{name!r} is a word of the Python language and cannot be imported; {_try(name.lower() + '_env')}."
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name):
        return (
            f"{name!r} cannot be the name of a package: use small letters, digits and underscores, "
            f"a letter first and no underscore last; {_try(_repaired(name))}."
        )
    if len(name) > _LONGEST:
        return f"The name is {len(name)} characters long, and {_LONGEST} is the most; choose a shorter one."
    return None


def _clash(name: str) -> str | None:
    """Return what the package would hide, because Python finds only one of two modules with the same name."""
    if name in sys.stdlib_module_names:
        return f"{name!r} is a module of Python's standard library, which it would hide; {_try(name + '_env')}."
    if name in _RUNTIME:
        return f"{name!r} is the runtime that the environment imports; {_try('my_env')}."
    if name in _INSIDE_A_PROJECT:
        return f"{name!r} is what a part of every environment project is called; {_try(name + '_env')}."
    # Only where packages get installed: a folder of that name at hand, or a checkout, hides nothing yet.
    paths = sysconfig.get_paths()
    spec = importlib.machinery.PathFinder.find_spec(name, [paths["purelib"], paths["platlib"]])
    if spec is None or spec.origin is None:
        return None
    owners = importlib.metadata.packages_distributions().get(name, [])
    if _derive(name).distribution in owners:
        return None  # this very environment, installed before
    owner = f" (of {owners[0]})" if owners and owners[0] != name else ""
    return f"{name!r} is an installed package{owner}, which it would hide; {_try(name + '_env')}."


def _repaired(name: str) -> str:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()
    return f"env_{name}" if name[:1].isdigit() else name


def _try(name: str) -> str:
    name = name[:_LONGEST].rstrip("_")
    if not name or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        name = "my_env"
    return f"try {name}"
