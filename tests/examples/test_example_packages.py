"""Each example is a package as `openenv init` writes it, clean and tested by itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from example_server import EXAMPLES, ROOT, run_python, served

from openenv_async.cli.names import parse_name
from openenv_async.cli.scaffolding import render

pytestmark = pytest.mark.slow

PACKAGES = ["coding_env", "echo_env", "wordle_env"]
UNCHANGED = [".dockerignore", "openenv.yaml", "py.typed", "server/Dockerfile", "server/__init__.py"]
"""What an author has no reason to edit, and what therefore must follow the template."""

QUIETLY = ["-q", "-p", "no:cacheprovider", "--disable-plugin-autoload", "-W", "error"]


def generated(name: str) -> dict[str, str]:
    return render(parse_name(name), "msgspec", "any.whl")


def test_every_example_is_among_those_tested() -> None:
    assert sorted(path.parent.name for path in EXAMPLES.glob("*/openenv.yaml")) == PACKAGES


@pytest.mark.parametrize("name", PACKAGES)
def test_an_example_has_the_files_that_init_writes(name: str) -> None:
    files = generated(name)
    assert [path for path in files if not (EXAMPLES / name / path).is_file()] == []
    changed = [path for path in UNCHANGED if (EXAMPLES / name / path).read_text(encoding="utf-8") != files[path]]
    assert changed == [], "run `python tests/examples/test_example_packages.py --write`"


@pytest.mark.parametrize("name", PACKAGES)
def test_the_readme_shows_what_really_happens(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert shown
    with served(f"examples/{name}") as url:
        done = run_python("-W", "error", "-c", shown[1].replace("http://localhost:8000", url), cwd=EXAMPLES)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown[2]


def test_the_examples_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.rglob("*.py")}
    assert [path for path, count in lines.items() if count > 300 and ".venv" not in path.parts] == []


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("place", ["inside", "above"])
def test_an_examples_own_tests_pass(name: str, place: str) -> None:
    inside = place == "inside"
    done = run_python("-m", "pytest", *QUIETLY, *([] if inside else [name]), cwd=EXAMPLES / (name if inside else ""))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_examples_are_clean_under_ruff() -> None:
    for command in (["check"], ["format", "--check"]):
        done = run_python("-m", "ruff", *command, "--no-cache", str(EXAMPLES), cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_are_clean_under_mypy(tmp_path: Path) -> None:
    # From above with this repository's settings, and from inside as an author would.
    done = run_python("-m", "mypy", f"--cache-dir={tmp_path}", str(EXAMPLES), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in PACKAGES:
        done = run_python("-m", "mypy", "--strict", f"--cache-dir={tmp_path}", ".", cwd=EXAMPLES / name)
        assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    for package in PACKAGES:
        for file in UNCHANGED:
            (EXAMPLES / package / file).write_text(generated(package)[file], encoding="utf-8")
