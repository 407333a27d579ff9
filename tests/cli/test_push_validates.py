"""`openenv push` asks what `openenv validate --level static` asks before it talks to anybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openenv_async.cli.names import parse_name
from openenv_async.cli.project import create_project


def test_a_project_that_is_not_in_order_is_not_sent(tmp_path: Path) -> None:
    folder = create_project(parse_name("unsent_env"), "msgspec", tmp_path / "unsent_env").folder
    project = folder / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8").replace("[project]", "[project", 1), encoding="utf-8")
    command = [sys.executable, "-m", "openenv_async.cli", "push", str(folder), "--repo-id", "a/b", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "unsent_env cannot be sent as it is: pyproject.toml" in done.stderr
    assert "Traceback" not in done.stderr
