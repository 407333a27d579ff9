"""docs/tutorial.md: its files are written to a folder, served and played."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.serve_command import serving

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, code in re.findall(
        r'```python title="(\S+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), flags=re.DOTALL
    ):
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def run(project: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_environment_is_served_and_played(project: Path) -> None:
    with serving("guess:app", "--port", "0", cwd=project) as server:
        url = server.url()
        assert "right 1.0" in run(project, "play.py", url)
        assert run(project, "train.py", url) == "64.0 of 64 were solved\n"


def test_the_test_of_the_tutorial_passes(project: Path) -> None:
    assert "1 passed" in run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_guess.py")
