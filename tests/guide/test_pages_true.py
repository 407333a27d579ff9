"""README.md, ARCHITECTURE.md and CONTRIBUTING.md name what there is: pages, modules, states, commands, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from openenv_async.cli import main
from openenv_async.protocol.session_states import MOVES

ROOT = Path(__file__).parents[2]
SITE = "https://openenv-async.readthedocs.io/en/latest/"
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def links(page: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL))


def test_links_of_the_readme_work_where_pypi_shows_it() -> None:
    assert [link for link in links("README.md") if not link.startswith("https://")] == []
    assert yaml.safe_load(text("mkdocs.yml").partition("\nplugins:")[0])["site_url"] == SITE


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_that_exist(page: str) -> None:
    lost = []
    for link in links(page):
        if link.startswith(SITE):
            name = link.removeprefix(SITE).partition("#")[0].rstrip("/")
            found = (ROOT / "docs" / name) if "." in name else (ROOT / "docs" / f"{name or 'index'}.md")
        elif link.startswith(("https://", "#")):
            continue
        else:
            found = ROOT / link.partition("#")[0]
        if not found.is_file():
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    """A path is relative to the root or to the package; a name in angle brackets or with a star stands for any."""
    named = re.findall(r"`([\w./-]+(?:\.py|\.md|\.yml|\.toml|/))`", text(page))
    assert named
    assert [path for path in named if not ((ROOT / path).exists() or (ROOT / "openenv_async" / path).exists())] == []


def test_the_picture_of_a_session_is_the_table_of_its_states() -> None:
    drawn = {
        (before, move.strip(), after)
        for before, after, moves in re.findall(
            r"^ +(\w+) --> (\w+): (.+)$", text("ARCHITECTURE.md"), flags=re.MULTILINE
        )
        for move in moves.split(",")
    }
    table = {
        (before.name, move.name.lower(), after.name) for before, moves in MOVES.items() for move, after in moves.items()
    }
    assert drawn == table


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/tutorial.md"])
def test_every_command_exists(page: str) -> None:
    assert set(re.findall(r"(?:`|\$ )openenv ([a-z]+)", text(page))) <= set(main.list_commands(None))  # type: ignore[arg-type]


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text("CONTRIBUTING.md") + text("README.md"))) <= targets
