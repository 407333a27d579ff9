"""What `make run` does, from nothing and a second time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST_RUN = Path(__file__).parents[2] / "examples" / "first_run.py"


def first_run(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", FIRST_RUN, folder],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reward 1.0" in done.stdout
    assert "with a total reward of 2.0" in done.stdout
    assert "ended with exit code 0" in done.stdout
    return done.stdout


def test_a_stranger_sees_an_environment_made_served_played_and_stopped(tmp_path: Path) -> None:
    assert "Created run/my_env" in first_run(tmp_path / "run")
    assert "run/my_env is there already" in first_run(tmp_path / "run")
