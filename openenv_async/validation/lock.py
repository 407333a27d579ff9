"""`uv.lock`: whether it still says what `pyproject.toml` asks for."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from openenv_async.validation.checks import Check
from openenv_async.validation.children import run_child
from openenv_async.validation.findings import Findings

FILE_NAME = "uv.lock"
TIMEOUT_S = 60.0


def find_uv() -> str | None:
    """Give the path of uv: the one beside this Python, or the one on the PATH."""
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


async def check_lock(folder: Path, timeout_s: float = TIMEOUT_S) -> list[Check]:
    """Ask uv, where it is installed."""
    found = Findings("lock", FILE_NAME)
    if not (folder / "pyproject.toml").is_file():
        return found.skipped("there is no pyproject.toml to lock")
    if not (folder / FILE_NAME).is_file():
        found.warned("there is no uv.lock, so two builds may install different versions", hint="run `uv lock`")
        return found.checks
    uv = find_uv()
    if uv is None:
        return found.skipped("uv is not installed here, and only it can tell", "pip install uv")
    # Not in the project's own place: below a uv workspace, uv would look at that one's lock instead.
    with tempfile.TemporaryDirectory(prefix="openenv-validate-") as elsewhere:
        for name in ("pyproject.toml", FILE_NAME):
            shutil.copy(folder / name, elsewhere)
        if (folder / "wheels").is_dir():
            shutil.copytree(folder / "wheels", Path(elsewhere, "wheels"))
        command = [uv, "lock", "--check", "--directory", elsewhere, "--python", sys.executable, "--no-progress"]
        ended = await run_child(command, timeout_s, {"VIRTUAL_ENV": "", "NO_COLOR": "1"})
    said = " ".join(line.strip(" ×╰─▶├│") for line in ended.output if not line.startswith("Using "))
    if ended.exit_code == 0:
        return found.done("uv.lock says what pyproject.toml asks for")
    if ended.exit_code is None:
        return found.skipped(f"uv did not end within {timeout_s:g} s")
    if "needs to be updated" in said:
        found.failed("uv.lock does not say what pyproject.toml asks for", hint="run `uv lock`")
        return found.checks
    return found.skipped(f"uv could not tell: {said[:400] or 'it gave no reason'}")
