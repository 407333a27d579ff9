"""`--compat`: environments that import `openenv` are served and validated as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from requirements import requirement
from support.serve_command import BOUND_S, serving

MODELS = """\
from openenv.core.env_server.types import Action, Observation
from pydantic import Field


class LoudAction(Action):
    text: str = Field(..., min_length=1)


class LoudObservation(Observation):
    text: str = ""
"""

ENVIRONMENT = """\
from uuid import uuid4

from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import State

try:
    from ..models import LoudAction, LoudObservation
except ImportError:
    from models import LoudAction, LoudObservation


class LoudEnvironment(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        self._state = State(episode_id="none", step_count=0)

    def reset(self):
        self._state = State(episode_id=str(uuid4()), step_count=0)
        return LoudObservation(text="ready")

    def step(self, action: LoudAction):
        self._state.step_count += 1
        return LoudObservation(text=action.text.upper(), reward=1.0)

    @property
    def state(self):
        return self._state
"""

APP = """\
try:
    from openenv.core.env_server.http_server import create_app
except Exception as e:
    raise ImportError("openenv is required") from e

try:
    from ..models import LoudAction, LoudObservation
    from .loud_environment import LoudEnvironment
except ImportError:
    from models import LoudAction, LoudObservation
    from server.loud_environment import LoudEnvironment

app = create_app(LoudEnvironment, LoudAction, LoudObservation, env_name="loud", max_concurrent_envs=4)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment as `openenv init` of OpenEnv lays it out."""
    folder = tmp_path / "loud"
    files = {
        "openenv.yaml": "spec_version: 1\nname: loud\ntype: space\nruntime: fastapi\napp: server.app:app\nport: 8000\n",
        "__init__.py": "",
        "models.py": MODELS,
        "README.md": "# Loud\n",
        "pyproject.toml": '[project]\nname = "loud"\nversion = "0.1.0"\ndependencies = ["openenv-core>=0.2"]\n',
        "server/__init__.py": "",
        "server/app.py": APP,
        "server/loud_environment.py": ENVIRONMENT,
        "server/Dockerfile": 'FROM python:3.11\nEXPOSE 8000\nCMD ["uvicorn", "server.app:app", "--port", "8000"]\n',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@requirement("compat:commands")
@pytest.mark.parametrize("options", [(), ("--compat", "auto"), ("--compat", "force")])
def test_serve_serves_an_openenv_environment_as_it_is(folder: Path, options: tuple[str, ...]) -> None:
    with serving(str(folder), "--port", "0", *options, cwd=folder.parent) as server:
        url = server.url()
        answer = httpx.post(f"{url}/step", json={"action": {"text": "a"}}, trust_env=False)
        assert answer.json()["observation"] == {"text": "A", "metadata": {}}


@requirement("compat:commands")
def test_serve_without_compat_says_what_is_missing(folder: Path) -> None:
    with serving(str(folder), "--port", "0", "--compat", "off", cwd=folder.parent) as server:
        code, said = server.end()
        assert code != 0 and "openenv is required" in said


@requirement("compat:commands")
def test_validate_plays_an_openenv_environment(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openenv_async.cli", "validate", str(folder), "--json"],
        capture_output=True,
        text=True,
        timeout=3 * BOUND_S,
        check=False,
        env={**os.environ, "OPENENV_COMPAT": "auto"},
    )
    report = json.loads(done.stdout)
    results = {check["name"]: check["result"] for check in report["checks"]}
    for played in ("app", "start", "schema", "reset", "step", "state", "sessions", "bad frame", "bad action", "close"):
        assert results[played] == "ok", report
