"""`openenv init --ci` writes a workflow for the author's repository; the project's own one has every example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = Path(".github/workflows/docker-build.yml")


def init(folder: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "openenv_async.cli", "init", "flow_env", "-o", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "flow_env"


def test_with_the_option_there_is_a_workflow_that_validates_and_builds(tmp_path: Path) -> None:
    workflow = yaml.safe_load((init(tmp_path, "--ci") / WORKFLOW).read_text(encoding="utf-8"))
    commands = [step.get("run", "") for step in workflow["jobs"]["image"]["steps"]]
    assert any(command.startswith("openenv validate . --level full") for command in commands)
    assert "openenv build . --tag openenv-flow:${{ github.sha }}" in commands


def test_without_it_there_is_none(tmp_path: Path) -> None:
    assert not (init(tmp_path) / ".github").exists()


def test_the_matrix_has_every_example() -> None:
    workflow = yaml.safe_load((ROOT / WORKFLOW).read_text(encoding="utf-8"))
    examples = {path.parent.name for path in (ROOT / "examples").glob("*/openenv.yaml")}
    assert set(workflow["jobs"]["example"]["strategy"]["matrix"]["environment"]) == examples
