"""Renders the project template for one environment.

Finds the template and fills its placeholders. `names` derives the names,
`python_format` formats the code, and `project` writes the files.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

import openenv_async
from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.names import Names
from openenv_async.cli.python_format import arrange
from openenv_async.server.options import OPTIONS

Models = Literal["msgspec", "pydantic", "dataclass"]

_FACES = ("🎯", "🧩", "🎲", "🧭", "🪁", "🧪", "🛰️", "🪄")
_COLORS = ("blue", "green", "indigo", "purple", "red", "yellow")
_YAML_WORDS = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})


def template_folder() -> Path:
    """Find the template: inside the installed package, or beside the package in a checkout."""
    package = Path(openenv_async.__file__).parent
    for folder in (package / "_scaffold" / "project", package.parent / "scaffold"):
        if (folder / "openenv.yaml").is_file():
            return folder
    raise CommandFailed(f"The project template is missing from {package}; install openenv-async again.")


def render(names: Names, models: Models, wheel: str, ci: bool = False) -> dict[str, str]:
    """Return the text of every file of the project, by its path inside it.

    Args:
        names: what the project and its classes are called.
        models: the library of the classes in `models.py`.
        wheel: the file name of the runtime's wheel, which the project has in `wheels/`.
        ci: add a workflow that builds and checks the image.
    """
    words = _placeholders(names, models) | {"__RUNTIME_WHEEL__": f"wheels/{wheel}"}
    files: dict[str, str] = {}
    folder = template_folder()
    for source in sorted(folder.rglob("*")):
        path = source.relative_to(folder).as_posix()
        # `base/` is for the image openenv-base, not a part of a project.
        if source.is_dir() or "__pycache__" in path or path.startswith("base/"):
            continue
        if path.startswith("ci/"):
            if not ci:
                continue
            path = path.replace("ci/", ".github/workflows/")
        if path.startswith("models_"):
            if path != f"models_{models}.py":
                continue
            path = "models.py"
        text = _filled(source.read_text(encoding="utf-8"), words)
        files[_filled(path, words)] = arrange(text) if path.endswith((".py", ".md")) else text
    return files


def image_settings() -> str:
    """Return the variables that an environment's image sets, as a Dockerfile's `ENV` has them."""
    return " ".join(f"{option.variable}={option.image}" for option in OPTIONS if option.image)


def _placeholders(names: Names, models: Models) -> dict[str, str]:
    # Chosen by name, not at random: the same command always writes the same project.
    pick = zlib.crc32(names.package.encode())
    extra = "[metrics,pydantic]" if models == "pydantic" else "[metrics]"
    return {
        "__ENV_NAME__": names.package,
        "__ENV_STEM__": names.stem,
        "__ENV_CLASS__": names.classes,
        "__ENV_TITLE__": names.title,
        "__ENV_DIST__": names.distribution,
        "__ENV_IMAGE__": names.image,
        "__YAML_NAME__": _yaml(names.package),
        "__YAML_TITLE__": _yaml(names.title),
        "__EMOJI__": _FACES[pick % len(_FACES)],
        "__COLOR_FROM__": _COLORS[pick % len(_COLORS)],
        "__COLOR_TO__": _COLORS[(pick + 1) % len(_COLORS)],
        "__IMAGE_SETTINGS__": image_settings(),
        "__RUNTIME__": f"openenv-async{extra}>={openenv_async.__version__}",
    }


def _filled(text: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text


def _yaml(word: str) -> str:
    """Quote the names that YAML would read as true, false or null."""
    return f'"{word}"' if word.lower() in _YAML_WORDS else word
