"""docs/packaging.md: every command is run, and prints what the page says.

`PYTHONPATH=tests python tests/guide/test_guide_packaging.py FOLDER` writes the page anew, in an empty folder.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from guide_runner import Runner, played
from support.docker_fixtures import docker

PAGE = Path(__file__).parents[2] / "docs" / "packaging.md"


def differences(folder: Path, base_image: str | None = None) -> str:
    page = PAGE.read_text(encoding="utf-8")
    runner = Runner(folder, folder, base_image)
    try:
        now = played(page, runner)
    finally:
        runner.close()
    return "\n".join(difflib.unified_diff(page.splitlines(), now.splitlines(), "the page", "what was printed", n=1))


def test_the_page_says_what_its_commands_print(tmp_path: Path) -> None:
    assert differences(tmp_path) == ""


def test_with_an_engine_the_image_is_built_too(tmp_path: Path, base_image: str) -> None:
    try:
        assert differences(tmp_path, base_image) == ""
        assert docker("image", "inspect", "my-env:v1")
    finally:
        docker("rmi", "--force", "my-env:v1", check=False)


if __name__ == "__main__":
    here = Path(sys.argv[1]).resolve()
    shell = Runner(here, here)
    try:
        PAGE.write_text(played(PAGE.read_text(encoding="utf-8"), shell), encoding="utf-8")
    finally:
        shell.close()
