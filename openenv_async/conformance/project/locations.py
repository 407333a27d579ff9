"""Where the parts of an environment's folder are: the files of the layout, modules by name, lines by their words."""

from __future__ import annotations

from pathlib import Path

from openenv_async.conformance.findings import NOWHERE, FileFindings, Finding, Position
from openenv_async.conformance.project.manifest import FILE_NAME, Manifest

_USEFUL = {
    "models.py": "the classes of actions and observations, which clients import",
    "client.py": "the typed clients",
    "__init__.py": "makes a package of the folder, so that trainers can import it",
    "README.md": "what people read on the Hub; `openenv push` writes a short one where there is none",
}


def check_files(folder: Path, manifest: Manifest) -> list[Finding]:
    """Check the files of the layout: the app must be there, others should be."""
    found = FileFindings("files")
    app, exists = module_file(folder, manifest.module, manifest.name)
    if not exists:
        default = "" if "app" in manifest.positions else " (the default, because the file does not say)"
        found.failed(
            f"there is no {app}, where the app {manifest.app} should be{default}",
            manifest.positions.get("app", NOWHERE),
            f"write it, or correct app in {FILE_NAME}",
            FILE_NAME,
        )
    for name, purpose in _USEFUL.items():
        if not (folder / name).is_file():
            found.warned(f"there is no {name}: {purpose}", file=name)
    return found.done(f"every file of the layout is there, the app in {app}")


def module_file(folder: Path, module: str, name: str) -> tuple[str, bool]:
    """Find the file of a module that is named from inside the folder or from outside it.

    Args:
        folder: the environment's.
        module: `server.app`, or `my_env.server.app`.
        name: the environment's, as its package is called.

    Returns:
        The file relative to the folder, and whether it exists.
    """
    head, _, rest = module.partition(".")
    if rest and head in (name, folder.name) and not (folder / head).is_dir():
        module = rest
    plain = module.replace(".", "/") + ".py"
    for candidate in (plain, module.replace(".", "/") + "/__init__.py"):
        if (folder / candidate).is_file():
            return candidate, True
    return plain, False


def find_in(text: str, *words: str) -> Position:
    """Return the position of the first of these words that the text has."""
    for word in words:
        at = text.find(word)
        if at >= 0:
            line_start = text.rfind("\n", 0, at) + 1
            return text.count("\n", 0, at) + 1, at - line_start + 1
    return NOWHERE
