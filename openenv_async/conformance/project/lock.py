"""`uv.lock`: whether it is up to date with `pyproject.toml`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from openenv_async.conformance.findings import FileFindings, Finding
from openenv_async.conformance.project.subprocesses import run_child
from openenv_async.providers.local import find_uv

FILE_NAME = "uv.lock"


async def check_lock(folder: Path, timeout_s: float = 60.0) -> list[Finding]:
    """Check the lock file with uv, where that is installed."""
    found = FileFindings("lock", FILE_NAME)
    if not (folder / "pyproject.toml").is_file():
        return found.skipped("there is no pyproject.toml to lock")
    if not (folder / FILE_NAME).is_file():
        found.warned("there is no uv.lock, so two builds may install different versions", hint="run `uv lock`")
        return found.findings
    uv = find_uv()
    if uv is None:
        return found.skipped("uv is not installed here, and the check needs it", "pip install uv")
    # In a copy: inside a uv workspace, uv would check the workspace's lock instead.
    with tempfile.TemporaryDirectory(prefix="openenv-validate-") as elsewhere:
        for name in ("pyproject.toml", FILE_NAME):
            shutil.copy(folder / name, elsewhere)
        if (folder / "wheels").is_dir():
            shutil.copytree(folder / "wheels", Path(elsewhere, "wheels"))
        command = [uv, "lock", "--check", "--directory", elsewhere, "--python", sys.executable, "--no-progress"]
        ended = await run_child(command, timeout_s, {"VIRTUAL_ENV": "", "NO_COLOR": "1"})
    said = " ".join(line.strip(" ×╰─▶├│") for line in ended.output if not line.startswith("Using "))
    if ended.exit_code == 0:
        return found.done("uv.lock is up to date with pyproject.toml")
    if ended.exit_code is None:
        return found.skipped(f"uv did not end within {timeout_s:g} s")
    if "needs to be updated" in said:
        found.failed("uv.lock is not up to date with pyproject.toml", hint="run `uv lock`")
        return found.findings
    return found.skipped(f"uv could not tell: {said[:400] or 'it gave no reason'}")
