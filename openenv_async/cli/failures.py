"""Makes the error for user code that cannot be imported: file, line, exception.

The line is the last one of the traceback in the user's own folder. `cli.targets`
raises the error.
"""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.manifest import shown

_NOT_THE_USERS = {"site-packages", "dist-packages", ".venv", "venv"}


def load_failed(what: str, folder: Path, error: BaseException) -> CommandFailed:
    """Make the error for `what` (a module, a factory) that raised.

    Args:
        what: named when the line cannot be found.
        folder: where the user's own code is.
        error: what it raised, traceback included.
    """
    place = _syntax_place(error) or _last_own_frame(folder, error)
    lines = []
    if place is None:
        lines.append(f"{what} cannot be loaded: {_text(error)}")
    else:
        file, line = place
        lines.append(f"{shown(file)}:{line}: {_text(error)}")
        source = linecache.getline(str(file), line).strip()
        if source:
            lines.append(f"    {source}")
    if error.__cause__ is not None:
        lines.append(f"  caused by {_text(error.__cause__)}")
    hint = _hint(folder, error)
    if hint:
        lines.append(hint)
    return CommandFailed("\n".join(lines))


def _syntax_place(error: BaseException) -> tuple[Path, int] | None:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Path(error.filename), error.lineno
    return None


def _last_own_frame(folder: Path, error: BaseException) -> tuple[Path, int] | None:
    found = None
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(folder) and not _NOT_THE_USERS.intersection(path.relative_to(folder).parts):
            found = path, frame.lineno or 1
    return found


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    return "".join(traceback.format_exception_only(error)).strip()


def _hint(folder: Path, error: BaseException) -> str | None:
    missing = error
    while not isinstance(missing, ModuleNotFoundError):
        if missing.__cause__ is None:
            return None
        missing = missing.__cause__
    if (folder / "pyproject.toml").is_file():
        return f"Install what it needs: pip install -e {shown(folder)}"
    for name in ("requirements.txt", "server/requirements.txt"):
        if (folder / name).is_file():
            return f"Install what it needs: pip install -r {shown(folder / name)}"
    return None
