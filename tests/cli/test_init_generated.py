"""What `openenv init` has written works: it type-checks, its own test passes, and it runs at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import openenv_async
from openenv_async.cli.names import parse_name
from openenv_async.cli.project import create_project
from openenv_async.cli.scaffolding import Models

pytestmark = pytest.mark.slow

PLAY = """
import sys
from my_env import MyAction, MyEnv, MyObservation

with MyEnv(base_url=sys.argv[1]) as env:
    result = env.reset(seed=3)
    assert isinstance(result.observation, MyObservation), result
    rewards = []
    while not result.done:
        result = env.step(MyAction(message=result.observation.prompt))
        rewards.append(result.reward)
    assert rewards == [1.0, 1.0, 1.0], rewards
    assert env.state().step_count == 3
print("played")
"""


@pytest.fixture(scope="module", params=get_args(Models))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return create_project(parse_name("my_env"), request.param, folder / "my_env").folder


def python(*arguments: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "MYPY"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mypy_strict_finds_nothing(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Once from inside and once from above: which module a file is depends on it.
    cache = tmp_path_factory.getbasetemp() / "mypy-cache"
    python("-m", "mypy", "--strict", f"--cache-dir={cache}", ".", cwd=project)
    python("-m", "mypy", "--strict", f"--cache-dir={cache}", "my_env", cwd=project.parent)


def test_its_own_test_passes(project: Path) -> None:
    # The plugins here are for our tests; the generated one does without.
    quietly = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-plugin-autoload", "-W", "error")
    assert "2 passed" in python(*quietly, cwd=project)
    assert "2 passed" in python(*quietly, "my_env", cwd=project.parent)


@pytest.fixture(params=["server.app", "my_env.server.app"])
def address(request: pytest.FixtureRequest, project: Path) -> Iterator[str]:
    """The generated server, started inside its folder and from above; stopped with Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", request.param, "--port", "0"],
        cwd=project if request.param == "server.app" else project.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found, process.communicate(timeout=30)
        yield found[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_it_runs_at_once_and_is_played_over_a_socket(project: Path, address: str) -> None:
    assert python("-c", PLAY, address, cwd=project.parent) == "played\n"


def test_importing_its_client_loads_no_server(project: Path) -> None:
    names = python("-c", "import my_env, sys; print(*sys.modules, sep='\\n')", cwd=project.parent).splitlines()
    assert not [name for name in names if name.startswith(("starlette", "hypercorn", "my_env.server"))]


def test_a_wheel_of_it_holds_the_package_and_no_more(project: Path, tmp_path: Path) -> None:
    python("-m", "build", "--wheel", "--installer", "uv", "--outdir", str(tmp_path), str(project), cwd=tmp_path)
    wheel = next(tmp_path.glob("openenv_my_env-0.1.0-*.whl"))
    content = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert content == {
        *(f"my_env/{name}" for name in ("__init__.py", "client.py", "models.py", "openenv.yaml", "py.typed")),
        *(f"my_env/server/{name}" for name in ("__init__.py", "app.py", "my_environment.py")),
    }


def test_the_command_and_the_variables_of_its_image_serve_it(project: Path, tmp_path: Path) -> None:
    """What the Dockerfile starts, with the folder and the address of this machine in place of the image's."""
    text = (project / "server" / "Dockerfile").read_text(encoding="utf-8")
    settings = re.findall(r"\b(OPENENV_\w+)=(\S+)", text)
    assert dict(settings) == {"OPENENV_HOST": "0.0.0.0", "OPENENV_PORT": "8000"}
    health, command = (json.loads(line) for line in re.findall(r"^ *CMD (\[.*\])$", text, re.MULTILINE))
    shutil.copytree(project, tmp_path / "app" / "my_env")
    command = [sys.executable, *(part.replace("/app/", f"{tmp_path}/app/") for part in command[1:])]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    variables = {"OPENENV_HOST": "127.0.0.1", "OPENENV_PORT": port, "PYTHONUNBUFFERED": "1"}
    path = os.pathsep.join([str(Path(openenv_async.__file__).parents[1]), str(tmp_path / "app")])
    environment = os.environ | {"PYTHONPATH": path} | variables
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert process.stdout is not None
        assert f"Serving my_env on http://127.0.0.1:{port}" in process.stdout.readline()
        subprocess.run([sys.executable, *health[1:]], env=os.environ | variables, check=True, timeout=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate(timeout=30)
