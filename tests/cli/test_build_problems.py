"""`openenv build` where it cannot even begin: one sentence each, the right exit code. No engine is needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docker_fixtures import openenv

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """The least that can be built, where every user may look."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        Path(name, "openenv.yaml").write_text("spec_version: 1\nname: least_env\n", encoding="utf-8")
        Path(name, "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
        yield Path(name)


def refused(done: subprocess.CompletedProcess[str], code: int, sentence: str) -> None:
    assert sentence in done.stderr, done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert done.returncode == code


@pytest.mark.parametrize("host", ["unix:///no/such/socket", "tcp://127.0.0.1:1"])
def test_no_engine_where_docker_host_says(folder: Path, host: str) -> None:
    done = openenv("build", folder, DOCKER_HOST=host)
    refused(done, 1, f"no container engine answers at {host}, which DOCKER_HOST names")


def test_no_engine_at_all_says_what_to_start(folder: Path) -> None:
    script = (
        "import openenv_async.images.engine as engine, openenv_async.cli as cli\n"
        "engine.usual_addresses = list\ncli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "build", str(folder)],
        env={k: v for k, v in os.environ.items() if k not in ("DOCKER_HOST", "DOCKER_CONTEXT")}
        | {"DOCKER_CONFIG": "/"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    refused(done, 1, "no container engine was found: start ")


@pytest.mark.skipif(os.name != "posix", reason="sockets of other users are refused on POSIX systems")
def test_no_permission_on_the_socket(folder: Path) -> None:
    """As somebody else, who may see the socket and not use it."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o600)
        script = (
            "import asyncio, os, openenv_async.images.engine as engine\n"
            f"os.setuid({NOBODY})\n"
            "try: asyncio.run(engine.find_engine())\n"
            "except engine.EngineUnavailable as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"DOCKER_HOST": f"unix://{path}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "engine.sock may not be used by this user (permission denied): join its group" in done.stdout, done.stderr


def test_an_engine_that_never_answers(folder: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = openenv("build", folder, DOCKER_HOST=f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    refused(done, 1, "no answer within 10 s")


def test_a_tag_with_capitals(folder: Path) -> None:
    refused(openenv("build", folder, "-t", "My-Env:V1"), 2, "My-Env:V1 has capitals, which container engines refuse")


def test_push_without_a_registry(folder: Path) -> None:
    refused(openenv("build", folder, "--push"), 2, "--push: openenv-least:latest names no registry: give --tag one")


def test_no_environment(tmp_path: Path) -> None:
    refused(openenv("build", tmp_path), 1, "has no openenv.yaml")
    refused(openenv("build", tmp_path / "absent"), 2, "there is no folder")


def test_no_dockerfile(folder: Path) -> None:
    (folder / "Dockerfile").unlink()
    refused(openenv("build", folder), 1, "has no Dockerfile, neither in server/ nor at its root")
    refused(openenv("build", folder, "-f", "absent"), 2, "--dockerfile: there is no file absent")


def test_a_dockerfile_without_from(folder: Path) -> None:
    (folder / "Dockerfile").write_text("RUN true\n", encoding="utf-8")
    refused(openenv("build", folder), 1, "Dockerfile has no FROM line")


def test_a_wrong_build_argument_is_not_repeated(folder: Path) -> None:
    done = openenv("build", folder, "--build-arg", "my secret=open")
    refused(done, 2, "--build-arg number 1 is not KEY=VALUE")
    assert "open" not in done.stderr


def test_help_carries_examples_and_the_way_through_a_proxy() -> None:
    text = openenv("build", "--help").stdout
    assert "openenv build my_env -t ghcr.io/my-org/my-env:v1 --push" in text
    assert "SSL_CERT_FILE" in text and "PIP_INDEX_URL" in text
