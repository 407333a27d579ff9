"""podman's socket, which speaks Docker's API: builds there too, also what takes BuildKit with Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docker_fixtures import BASE_IMAGE, HERE, openenv

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a podman of our own, with storage of its own that has the base image."""
    program = shutil.which("podman")
    if program is None or shutil.which("docker") is None or os.getuid() != 0:
        pytest.skip(
            "podman or the docker command is not installed, or this is not root, without whom its storage needs set-up"
        )
    folder = tmp_path_factory.mktemp("podman")
    socket = folder / "engine.sock"
    places = (
        "--storage-driver",
        "overlay",
        "--root",
        str(folder / "root"),
        "--runroot",
        str(folder / "run"),
        "--cgroup-manager",
        "cgroupfs",
    )
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            [program, *places, "system", "service", "--time", "0", f"unix://{socket}"], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert service.poll() is None and time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.02)
        address = f"unix://{socket}"
        made = subprocess.run(
            [HERE / "base_image.sh", BASE_IMAGE],
            env=os.environ | {"DOCKER_HOST": address},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        yield address
    finally:
        service.terminate()
        service.wait(timeout=30)
        # Its layers are mounts while they are in use, and no plain removal takes them.
        subprocess.run([program, *places, "system", "reset", "--force"], capture_output=True, timeout=60, check=False)


def project(folder: Path, step: str) -> Path:
    (folder / "openenv.yaml").write_text("spec_version: 1\nname: least_env\n", encoding="utf-8")
    (folder / "Dockerfile").write_text(f"FROM docker.io/library/{BASE_IMAGE}\n{step}\n", encoding="utf-8")
    return folder


def test_podman_builds_what_needs_buildkit_elsewhere(podman: str, tmp_path: Path) -> None:
    folder = project(tmp_path, "RUN --mount=type=cache,target=/cached echo mounted > /x")
    done = openenv("build", folder, DOCKER_HOST=podman)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/" in done.stdout and "RUN --mount=type=cache" in done.stdout
    assert "Built openenv-least:latest" in done.stdout


def test_podmans_failing_step_is_told_as_dockers(podman: str, tmp_path: Path) -> None:
    done = openenv("build", project(tmp_path, "RUN echo said; exit 3"), DOCKER_HOST=podman)
    assert done.returncode == 1
    assert "  said\n" in done.stderr
    assert "`RUN echo said; exit 3`" in done.stderr
