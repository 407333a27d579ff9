"""The level `full`, on a real engine: the image is built, its server played, and the container removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.docker_fixtures import docker, openenv
from validated import edit, good_env

pytestmark = pytest.mark.docker


def test_an_environment_is_played_in_its_container(base_image: str, tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "server" / "Dockerfile", "ARG BASE_IMAGE=python:3.12-slim", f"ARG BASE_IMAGE={base_image}")
    before = docker("ps", "--all", "--quiet")
    try:
        done = openenv("validate", folder, "--level", "full", "--json")
    finally:
        docker("rmi", "openenv-echo:latest", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    full = {check["name"]: check["result"] for check in report["checks"] if check["level"] == "full"}
    assert len(full) == 15
    assert set(full.values()) == {"ok"}
    assert {mode["name"]: mode["tried"] for mode in report["modes"]}["docker"]
    assert docker("ps", "--all", "--quiet") == before


def test_without_an_engine_it_says_what_to_start(tmp_path: Path) -> None:
    done = openenv(
        "validate", good_env(tmp_path), "--level", "full", "--json", DOCKER_HOST="unix:///nowhere/docker.sock"
    )
    report = json.loads(done.stdout)
    assert done.returncode == 1
    image = next(check for check in report["checks"] if check["name"] == "image")
    assert "/nowhere/docker.sock" in image["sentence"]
    assert {mode["name"]: mode["works"] for mode in report["modes"]}["docker"] is False
