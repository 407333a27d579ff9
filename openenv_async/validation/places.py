"""Where the parts of an environment's folder are: modules that names lead to, and lines that words stand on."""

from __future__ import annotations

from pathlib import Path

from openenv_async.validation.findings import NOWHERE, Place


def module_file(folder: Path, module: str, name: str) -> tuple[str, bool]:
    """Find the file of a module that is named from inside the folder or from outside it.

    Args:
        folder: the environment's.
        module: `server.app`, or `my_env.server.app`.
        name: the environment's, as its package is called.

    Returns:
        The file as seen from the folder, and whether it is there.
    """
    head, _, rest = module.partition(".")
    if rest and head in (name, folder.name) and not (folder / head).is_dir():
        module = rest
    plain = module.replace(".", "/") + ".py"
    for candidate in (plain, module.replace(".", "/") + "/__init__.py"):
        if (folder / candidate).is_file():
            return candidate, True
    return plain, False


def find_in(text: str, *words: str) -> Place:
    """Give the place of the first of the words that the text has."""
    for word in words:
        at = text.find(word)
        if at >= 0:
            line_start = text.rfind("\n", 0, at) + 1
            return text.count("\n", 0, at) + 1, at - line_start + 1
    return NOWHERE
