"""Generated code is tidy under every name: lengths that break lines, letters that change an order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml

from openenv_async.cli.names import parse_name
from openenv_async.cli.scaffolding import Models, render

# "zz" sorts behind "Async", "aa" before it.
NAMES = [letter * length for letter in "az" for length in range(2, 41)] + ["my_env", "a", "z", "tic_tac_toe", "b2__x"]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for each name, and each kind of models for some."""
    folder = tmp_path_factory.mktemp("layout")
    for name in NAMES:
        for models in get_args(Models) if len(name) in (2, 6, 20, 40) else ("msgspec",):
            for path, text in render(parse_name(name), models, "runtime.whl").items():
                file = folder / models / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["format", "--check"],
        ["format", "--check", "--isolated"],
        ["check", "--isolated", "--select", "E,F,W,B,C4,UP,PERF,PGH,RUF100,SIM", "--ignore", "E501"],
    ],
    ids=" ".join,
)
def test_ruff_has_nothing_to_say(projects: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
        cwd=projects,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["my_env", "tic_tac_toe"])
def test_imports_are_sorted_as_this_repository_sorts_them(projects: Path, name: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--select",
            "I,E501,D,N,ANN",
            "--ignore",
            "D203,D213,D413",
            ".",
        ],
        cwd=projects / "msgspec" / name,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_placeholder_is_left(projects: Path) -> None:
    for file in projects.rglob("*"):
        if file.is_file():
            left = file.read_text(encoding="utf-8").replace("__pycache__", "").replace("__package__", "")
            for known in ("__all__", "__future__", "__init__", "__name__", "__main__", "b2__x", "B2__X"):
                left = left.replace(known, "")
            assert "__" not in left, file
            assert "__" not in file.name.replace("__init__", "").replace("b2__x", ""), file


def test_yaml_reads_every_name_as_text() -> None:
    for name in ("my_env", "yes", "no", "on", "off", "null", "true", "y"):
        files = render(parse_name(name), "msgspec", "runtime.whl")
        assert yaml.safe_load(files["openenv.yaml"])["name"] == name
        front = yaml.safe_load(files["README.md"].split("---")[1])
        assert front["title"] == parse_name(name).title
        assert front["sdk"] == "docker"
        assert front["app_port"] == 8000
        assert front["base_path"] == "/web"
        assert front["tags"] == ["openenv"]
