"""A container engine for tests: what it answers to, a base image, the template's image, containers that end.

A plugin of `tests/conftest.py`: the fixtures are there for every test, and each is made once. Helpers are imported:
`from docker_fixtures import running`. Where no engine answers, tests that ask for one are skipped with its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openenv_async.cli.names import parse_name
from openenv_async.cli.project import create_project
from openenv_async.images.engine import find_engine
from openenv_async.images.errors import EngineUnavailable
from support import TESTS

HERE = TESTS / "docker"
BASE_IMAGE = os.environ.get("OPENENV_TEST_BASE_IMAGE", "openenv-test-python:bookworm")
OPENENV = [sys.executable, "-m", "openenv_async.cli"]
HEALTHY_TIMEOUT_S = 60.0


def docker(*words: str, check: bool = True, timeout_s: float = 300) -> str:
    """Run the docker command, which knows the engine by itself; give what it writes."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def openenv(*words: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `openenv`."""
    return subprocess.run(
        [*OPENENV, *map(str, words)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="session")
def engine() -> str:
    """The engine's address, `""` for the one of docker's context."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command, which these tests look at images with")
    try:
        return asyncio.run(find_engine()) or ""
    except EngineUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def base_image(engine: str) -> str:
    """An image with Python and nothing else."""
    done = subprocess.run(
        [HERE / "base_image.sh", BASE_IMAGE], capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"there is no base image, and none could be made: {done.stderr.strip()[-500:]}")
    return BASE_IMAGE


@dataclass(frozen=True, kw_only=True)
class Built:
    """The template's project, and its image."""

    folder: Path
    tag: str
    output: str

    @property
    def context(self) -> str:
        """The digest that the build has told."""
        found = re.search(r"sha256:[0-9a-f]{64}", self.output)
        assert found
        return found[0]


@pytest.fixture(scope="session")
def template_image(base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The environment that `openenv init` writes, as `openenv build` makes it. Built once."""
    folder = create_project(parse_name("boxed_env"), "msgspec", tmp_path_factory.mktemp("image") / "boxed_env").folder
    done = openenv("build", folder, "--base-image", base_image)
    assert done.returncode == 0, done.stdout + done.stderr
    yield Built(folder=folder, tag="openenv-boxed:latest", output=done.stdout)
    docker("rmi", "openenv-boxed:latest", check=False)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that serves an environment."""

    id: str
    url: str
    healthy_after_s: float


@contextlib.contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    """Run an image and wait until its server is healthy; the container is gone at the end."""
    began = time.monotonic()
    name = docker("run", "--detach", "--publish", "127.0.0.1:0:8000", *options, image)
    try:
        port = docker("port", name, "8000").splitlines()[0].rpartition(":")[2]
        url = f"http://127.0.0.1:{port}"
        wait_healthy(url, name, began)
        yield Container(id=name, url=url, healthy_after_s=time.monotonic() - began)
    finally:
        docker("rm", "--force", "--volumes", name)


def wait_healthy(url: str, container: str, began: float) -> None:
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        state = docker("inspect", "--format", "{{.State.Status}}", container)
        late = time.monotonic() - began > HEALTHY_TIMEOUT_S
        assert state in ("running", "created") and not late, f"{state}: {docker('logs', container)}"
        # Asking again is the waiting: a port that nothing listens on refuses at once.
        time.sleep(0.02)


# player:open-sesame, as `htpasswd -B` writes it.
_HTPASSWD = "player:$2b$05$PHiXOFuqN3nemGgfAfJbEea8RaE1qnh67GXVbM8/oD0dg276LtTpO\n"
LOGIN = ("player", "open-sesame")


@contextlib.contextmanager
def registry(folder: Path, *, login: bool = False) -> Iterator[str]:
    """Run a registry on loopback; give its host and port."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("there is no docker-registry: `apt-get install docker-registry`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "log": {"accesslog": {"disabled": True}, "level": "error"},
    }
    if login:
        (folder / "htpasswd").write_text(_HTPASSWD, encoding="utf-8")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "registry.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
    try:
        _wait_listening(port, process, folder / "registry.log")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        alive = process.poll() is None and time.monotonic() < deadline
        assert alive, log.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.02)
