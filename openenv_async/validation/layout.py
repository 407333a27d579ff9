"""The files that an environment's folder holds."""

from __future__ import annotations

from pathlib import Path

from openenv_async.validation.checks import Check
from openenv_async.validation.findings import Findings
from openenv_async.validation.manifest import FILE_NAME, ManifestFacts
from openenv_async.validation.places import module_file

_USEFUL = {
    "models.py": "the classes of actions and observations, which clients import",
    "client.py": "the typed clients",
    "__init__.py": "makes a package of the folder, so that trainers can import it",
    "README.md": "what people read on the Hub; `openenv push` writes a short one where there is none",
}


def check_files(folder: Path, facts: ManifestFacts) -> list[Check]:
    """Look for the files of the layout: the app must be there, others should."""
    found = Findings("files")
    app, there = module_file(folder, facts.module, facts.name)
    if not there:
        at = facts.places.get("app", (None, None))
        told = "" if "app" in facts.places else " (where it is when the file does not say)"
        found.failed(
            f"there is no {app}, where the app {facts.app} should be{told}",
            at,
            f"write it, or correct app in {FILE_NAME}",
            FILE_NAME,
        )
    for name, purpose in _USEFUL.items():
        if not (folder / name).is_file():
            found.warned(f"there is no {name}: {purpose}", file=name)
    return found.done(f"every file of the layout is there, the app in {app}")
