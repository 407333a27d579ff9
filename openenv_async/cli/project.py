"""Writes a new project to disk, completely or not at all.

`scaffolding` makes the texts, `wheel` the runtime's wheel, `uv_lock` the lock file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.names import Names
from openenv_async.cli.scaffolding import Models, render
from openenv_async.cli.uv_lock import write_lock
from openenv_async.cli.wheel import build_wheel


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """The result of `create_project`."""

    folder: Path
    files: int
    no_lock: str | None
    """Why there is no `uv.lock`, and what to do about it; `None` when there is one."""


def create_project(names: Names, models: Models, target: Path, ci: bool = False) -> Project:
    """Write the project of a new environment to `target`.

    Raises:
        BadInput: `target` is taken, or nothing can be written there.
        CommandFailed: writing failed on the way. Nothing is left of it.
    """
    with _new_folder(target) as folder:
        wheel = build_wheel(folder / "wheels")
        for path, text in render(names, models, wheel.name, ci).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        no_lock = write_lock(folder, str(target))
        files = sum(each.is_file() for each in folder.rglob("*"))
    return Project(folder=target, files=files, no_lock=no_lock)


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends, or is removed when the block fails."""
    _refuse_taken(target)
    with contextlib.ExitStack() as stack:
        try:
            _make_parents(target.parent, stack)
            # Beside the target, because a rename is whole only within one file system.
            beside = tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
        except OSError as error:
            raise BadInput(f"Cannot write to {target.parent}: {error.strerror}.") from error
        with beside:
            # Not the temporary folder itself: only its owner may enter that.
            folder = Path(beside.name, target.name)
            try:
                folder.mkdir()
                yield folder
                if target.exists():
                    target.rmdir()  # empty, as was checked; Windows renames onto nothing
                folder.rename(target)
            except OSError as error:
                raise CommandFailed(f"Writing {target} failed: {error}; nothing was left behind.") from error
        stack.pop_all()


def _refuse_taken(target: Path) -> None:
    try:
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise BadInput(f"{target} exists and is not a folder; choose another name or --output-dir.")
        if target.is_dir() and any(target.iterdir()):
            raise BadInput(f"{target} exists and is not empty; choose another name or --output-dir.")
    except OSError as error:
        raise BadInput(f"Cannot read {target}: {error.strerror}.") from error


def _make_parents(folder: Path, undo: contextlib.ExitStack) -> None:
    """Create what is missing of `folder` and above it; closing `undo` removes that again."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir()
            undo.callback(each.rmdir)
