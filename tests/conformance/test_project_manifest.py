"""`openenv.yaml` is judged whole: every problem at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from validated import EXAMPLES, of

from openenv_async.cli.errors import CommandFailed
from openenv_async.cli.manifest import read_manifest
from openenv_async.conformance.findings import NotAnEnvironment
from openenv_async.conformance.project.manifest import check_manifest

EVERYTHING_WRONG = """\
spec_version: 2
name: [a, list]
verion: 0.1.0
type: room
app: server/app.py
port: eight
port: 8000
variables:
  LEVEL: {hard: true}
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "openenv.yaml").write_text(text, encoding="utf-8")
    return folder


def test_every_problem_is_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    checks, facts = check_manifest(write(tmp_path / "my_env", EVERYTHING_WRONG))
    found = {(check.line, check.column, check.result) for check in checks}
    assert found == {
        (7, 1, "failed"),  # port, the second time
        (3, 1, "warned"),  # verion
        (2, 7, "failed"),  # name
        (1, 15, "failed"),  # spec_version
        (4, 7, "warned"),  # type
        (9, 3, "failed"),  # a variable that is no plain value
        (5, 6, "failed"),  # app
    }
    assert all(check.file == "openenv.yaml" for check in checks)
    assert facts.name == "my_env"
    assert facts.app == "server.app:app"


def test_an_unknown_key_gets_a_suggestion(tmp_path: Path) -> None:
    checks, _ = check_manifest(write(tmp_path, "name: my_env\ndescripton: words\nzzz: 1\n"))
    close, far = checks
    assert close.hint == "did you mean description?"
    assert far.hint is not None and far.hint.startswith("known keys: spec_version, name")
    assert {close.result, far.result} == {"warned"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: my_env\n\tport: 1\n", 2, "not YAML"),
        ("name: 'my_env\n", 2, "not YAML"),
        ("", 1, "key: value"),
        ("- name\n", 1, "key: value"),
        ("port: 1\n", 1, "name is missing"),
        ("name: 12\n", 1, "name must be a text"),
        ("name: my_env\nport: 70000\n", 2, "port must be a number"),
        ("name: my_env\nport: true\n", 2, "port must be a number"),
        ("name: my_env\nspec_version: true\n", 2, "spec_version must be 1"),
        ("name: my_env\napp: app\n", 2, "module:attribute"),
        ("name: my_env\nname: other\n", 2, "already given at line 1"),
        ("name: my_env\ndescription: [x]\n", 2, "description must be a text"),
        ("name: &a {b: *a}\n", 1, "name must be a text"),
    ],
)
def test_one_problem_is_named_where_it_is_and_serve_refuses_it_too(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    checks, _ = check_manifest(write(tmp_path, text))
    assert [(check.result, check.line) for check in checks] == [("failed", line)]
    assert words in checks[0].sentence
    with pytest.raises(CommandFailed):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["echo_env", "wordle_env", "coding_env"])
def test_what_serve_reads_is_what_is_judged(name: str) -> None:
    checks, facts = check_manifest(EXAMPLES / name)
    manifest = read_manifest(EXAMPLES / name)
    assert [check.result for check in of(checks, "manifest")] == ["ok"]
    assert (facts.name, facts.app, facts.port, facts.version) == (
        manifest.name,
        manifest.app,
        manifest.port,
        manifest.version,
    )


def test_a_folder_without_one_is_not_an_environment(tmp_path: Path) -> None:
    with pytest.raises(NotAnEnvironment, match=r"has no openenv\.yaml"):
        check_manifest(tmp_path)


def test_a_file_that_is_not_utf8_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "openenv.yaml").write_bytes(b"name: \xff\n")
    checks, _ = check_manifest(tmp_path)
    assert checks[0].result == "failed"
    assert "UTF-8" in checks[0].sentence
