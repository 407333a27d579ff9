"""Reads the manifest of an environment's folder, for commands that need a valid one."""

from __future__ import annotations

from pathlib import Path

from openenv_async.cli.errors import CommandFailed
from openenv_async.conformance.findings import NotAnEnvironment
from openenv_async.conformance.project import manifest as reader
from openenv_async.conformance.project.manifest import FILE_NAME, Manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a folder.

    Raises:
        CommandFailed: there is none, it cannot be read, or a value in it cannot be used.
    """
    try:
        manifest, found = reader.read_manifest(folder)
    except NotAnEnvironment as error:
        if not (folder / FILE_NAME).exists():
            raise CommandFailed(
                f"{shown(folder)} has no {FILE_NAME}: give the folder of an environment (`openenv init` makes one), "
                "a .py file, module:app, or gym:ENV_ID"
            ) from None
        raise CommandFailed(error.message) from error
    problem = next((each for each in found.findings if each.result == "failed"), None)
    if problem is not None:
        where = shown(folder / FILE_NAME) + (f":{problem.line}" if problem.line else "")
        raise CommandFailed(f"{where}: {problem.sentence}")
    return manifest


def key_at(manifest: Manifest, key: str) -> str:
    """Return where a key is: `file:line`, or the file alone when the key is not in it."""
    line, _ = manifest.keys.get(key, (None, None))
    return f"{shown(manifest.path)}:{line}" if line else shown(manifest.path)


def shown(path: Path) -> str:
    """Return the path as the user would write it: from the working folder where that is shorter."""
    path = path.absolute()
    try:
        short = str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
    return str(path) if short == "." else short
