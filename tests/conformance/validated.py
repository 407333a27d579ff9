"""Environments to validate: a copy of a good one, and small ones that misbehave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from openenv_async.conformance.findings import Finding, ValidationReport
from openenv_async.conformance.project.validate import ValidateOptions, validate_folder

EXAMPLES = Path(__file__).parents[2] / "examples"

_APP = """\
from __future__ import annotations
import os, random, subprocess, sys, threading, time
from openenv_async import Action, Environment, Observation, State, create_app

class PlayAction(Action):
    message: str

class PlayObservation(Observation):
    seen: str = ""

class PlayEnvironment(Environment[PlayAction, PlayObservation, State]):
    \"\"\"Made for a test.\"\"\"

    def __init__(self) -> None:
        self._state = State()

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> PlayObservation:
        self._state = State(episode_id=episode_id)
        return PlayObservation(seen="begin")

    def step(self, action: PlayAction) -> PlayObservation:
        self._state.step_count += 1
        return PlayObservation(seen=action.message, reward=1.0)

    @property
    def state(self) -> State:
        return self._state

{methods}
app = create_app(PlayEnvironment, PlayAction, PlayObservation, env_name="play", max_concurrent_envs=8)

def main() -> None:
    pass
"""


def good_env(tmp_path: Path, name: str = "echo_env") -> Path:
    """Copy an example, with nothing that tools have left in it."""
    left = shutil.ignore_patterns("__pycache__", ".*_cache", "*.pyc")
    return shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=left)


def small_env(tmp_path: Path, methods: str = "") -> Path:
    """Write an environment whose methods a test replaces; only what a server needs is there."""
    folder = tmp_path / "play_env"
    (folder / "server").mkdir(parents=True)
    (folder / "openenv.yaml").write_text("name: play_env\nport: 8000\n", encoding="utf-8")
    (folder / "server" / "__init__.py").write_text("", encoding="utf-8")
    indented = "".join(f"    {line}\n" for line in methods.splitlines())
    (folder / "server" / "app.py").write_text(_APP.format(methods=indented), encoding="utf-8")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def of(findings: list[Finding], name: str) -> list[Finding]:
    """Give the checks of one name."""
    return [finding for finding in findings if finding.name == name]


def one(findings: list[Finding], name: str) -> Finding:
    """Give the only check of a name."""
    found = of(findings, name)
    assert len(found) == 1, [each.sentence for each in found] or [each.name for each in findings]
    return found[0]


async def validated(
    folder: Path, timeout_s: float = 30.0, listener: Callable[[Finding], None] | None = None
) -> ValidationReport:
    return await validate_folder(folder, ValidateOptions(timeout_s=timeout_s, listener=listener))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
