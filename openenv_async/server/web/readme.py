"""Where the README is that the page shows beside an environment, found without building one."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

MOST_BYTES = 512 * 1024
_MANIFEST = "openenv.yaml"
_LEVELS = 3
_FRONT_MATTER = re.compile(r"\A---\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def find_readme(env_cls: type | None) -> str | None:
    """Give the text of the README beside the environment's manifest, or where an image keeps it; None without one.

    `ENV_README_PATH` names another file. What the Hub reads from a README's head is left out.
    """
    named = os.environ.get("ENV_README_PATH")
    places = [Path(named)] if named else []
    places += [folder / "README.md" for folder in _folders(env_cls)]
    places += [Path("/app/env/README.md"), Path("/app/README.md")]
    for place in places:
        try:
            with place.open("rb") as file:
                text = file.read(MOST_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        return _FRONT_MATTER.sub("", text, count=1)
    return None


def _folders(env_cls: type | None) -> list[Path]:
    try:
        file = Path(inspect.getfile(env_cls)) if env_cls is not None else None
    except (OSError, TypeError):  # a class of the interpreter's, or typed into a prompt
        file = None
    parents = list(file.resolve().parents)[:_LEVELS] if file is not None else []
    return [folder for folder in parents if (folder / _MANIFEST).is_file()]
