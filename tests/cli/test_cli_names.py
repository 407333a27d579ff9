"""Which names `openenv init` takes, what it derives from them, and how it refuses the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from openenv_async.cli import main
from openenv_async.cli.errors import BadInput
from openenv_async.cli.names import parse_name

BAD_NAMES = {
    "": "empty",
    "my-env": "try my_env",
    "a b": "try a_b",
    "a\nb": "try a_b",
    "1x": "try env_1x",
    "x_": "underscore",
    "_x": "try x",
    "MyGame": "try my_game",
    "été": "small letters",
    ".": "small letters",
    "..": "small letters",
    "-x": "try x",
    "class": "word of the Python language",
    "None": "word of the Python language",
    "json": "standard library",
    "openenv": "the runtime",
    "openenv_async": "the runtime",
    "click": "installed package",
    "models": "part of every environment project",
    "server": "part of every environment project",
    "async_env": "AsyncEnv",
    "sync": "SyncEnv",
    "games/chess": "--output-dir",
    "a" * 41: "41 characters",
}


@pytest.mark.parametrize(("name", "reason"), BAD_NAMES.items())
def test_a_bad_name_gets_one_line_and_exit_code_2(name: str, reason: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["init", "--output-dir", str(tmp_path / "new"), "--", name])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_suggested_name_is_a_good_one(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_name(name)
    _, found, suggestion = refused.value.message.rpartition("try ")
    if found:
        assert parse_name(suggestion.rstrip(".")).package == suggestion.rstrip(".")


@pytest.mark.parametrize(
    ("name", "stem", "classes", "title", "distribution", "image"),
    [
        ("my_env", "my", "My", "My", "openenv-my-env", "openenv-my"),
        ("wordle", "wordle", "Wordle", "Wordle", "openenv-wordle", "openenv-wordle"),
        ("tic_tac_toe", "tic_tac_toe", "TicTacToe", "Tic Tac Toe", "openenv-tic-tac-toe", "openenv-tic-tac-toe"),
        (
            "tic_tac_toe_env",
            "tic_tac_toe",
            "TicTacToe",
            "Tic Tac Toe",
            "openenv-tic-tac-toe-env",
            "openenv-tic-tac-toe",
        ),
        ("env", "env", "Env", "Env", "openenv-env", "openenv-env"),
        ("class_env", "class", "Class", "Class", "openenv-class-env", "openenv-class"),
        ("b2__x", "b2__x", "B2X", "B2 X", "openenv-b2-x", "openenv-b2-x"),
    ],
)
def test_every_name_follows_from_one(
    name: str, stem: str, classes: str, title: str, distribution: str, image: str
) -> None:
    names = parse_name(name)
    assert names.package == name
    assert (names.stem, names.classes, names.title) == (stem, classes, title)
    assert (names.distribution, names.image) == (distribution, image)


def test_help_shows_examples_and_options() -> None:
    done = CliRunner().invoke(main, ["init", "--help"])
    assert done.exit_code == 0
    for part in ("Examples:", "openenv init my_env", "-o, --output-dir", "[msgspec|pydantic|dataclass]"):
        assert part in done.stdout


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["init", "my_env", "-o", str(tmp_path), "--models", "attrs"])
    assert done.exit_code == 2
    assert "'msgspec', 'pydantic', 'dataclass'" in done.stderr
    assert not list(tmp_path.iterdir())
