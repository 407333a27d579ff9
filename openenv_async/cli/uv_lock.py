"""Writes `uv.lock` with uv, if uv is installed.

Finds uv and runs it with a time limit. A project works without a lock file; a
sentence for the user says why there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TIMEOUT_S = 120.0


def find_uv() -> str | None:
    """Return the path of uv: the `uv` package of this Python, or the one on the PATH."""
    try:
        import uv
    except ImportError:
        return shutil.which("uv")
    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        return shutil.which("uv")


def write_lock(project: Path, name: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Resolve the project's dependencies into its `uv.lock`; return `None`, or a sentence on why there is none.

    Args:
        project: a folder with a `pyproject.toml`, and `wheels/` if that names one.
        name: the folder's name for the user, for the sentence.
        timeout_s: seconds after which uv is ended.
    """
    later = f"run `uv lock` in {name}"
    uv = find_uv()
    if uv is None:
        return f"uv.lock was not written because uv is not installed: `pip install uv`, then {later}."
    # Not in the project's own place: below a uv workspace, uv would lock that one instead.
    with tempfile.TemporaryDirectory(prefix="openenv-lock-") as elsewhere:
        shutil.copy(project / "pyproject.toml", elsewhere)
        if (project / "wheels").is_dir():
            shutil.copytree(project / "wheels", Path(elsewhere, "wheels"))
        command = [uv, "lock", "--directory", elsewhere, "--python", sys.executable, "--no-progress"]
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"uv.lock was not written because uv did not end within {timeout_s:g} s; {later} later."
        except OSError as error:
            return f"uv.lock was not written because {uv} cannot be run ({error.strerror}); {later} later."
        if done.returncode != 0:
            return f"uv.lock was not written ({_reason(done.stderr)}); when that is mended, {later}."
        shutil.copy(Path(elsewhere, "uv.lock"), project)
    return None


def _reason(stderr: str) -> str:
    """Return the first error of uv, which writes a tree of causes, in one line."""
    lines = [line.strip(" ×╰─▶├│") for line in stderr.splitlines()]
    causes = [line.removeprefix("error: ") for line in lines if line and not line.startswith(("Using ", "warning:"))]
    return ": ".join(causes[:2]) or "uv gave no reason"
