"""What the files of an environment say, without importing anything: layout, project file, Dockerfile."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from validated import edit, good_env, of, one

from openenv_async.conformance.findings import NotAnEnvironment
from openenv_async.conformance.project.lock import check_lock
from openenv_async.conformance.project.static import check_texts, static_problems
from openenv_async.providers.local import find_uv


def test_a_good_environment_has_no_problems(tmp_path: Path) -> None:
    assert static_problems(good_env(tmp_path)) == []


def test_push_can_ask_for_the_problems_of_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = good_env(tmp_path)
    (folder / "server" / "Dockerfile").unlink()
    edit(folder / "openenv.yaml", "port:", "prt:")
    monkeypatch.chdir(tmp_path)
    problems = static_problems(Path("echo_env"))
    assert [(check.name, check.result) for check in problems] == [("manifest", "warned"), ("dockerfile", "failed")]
    with pytest.raises(NotAnEnvironment):
        static_problems(Path())


def test_the_app_must_be_where_the_manifest_says(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "openenv.yaml", "server.app:app", "server.main:app")
    failed = one(check_texts(folder)[0], "files")
    assert failed.result == "failed"
    assert "there is no server/main.py" in failed.sentence
    assert failed.where is not None and failed.where.startswith("openenv.yaml:")


@pytest.mark.parametrize("name", ["models.py", "client.py", "README.md", "__init__.py"])
def test_a_missing_file_is_a_warning_that_says_what_it_is_for(tmp_path: Path, name: str) -> None:
    folder = good_env(tmp_path)
    (folder / name).unlink()
    warned = one(check_texts(folder)[0], "files")
    assert (warned.result, warned.file) == ("warned", name)


@pytest.mark.parametrize(
    ("old", "new", "result", "words"),
    [
        ('"openenv-async>=0.1.0"', '"numpy"', "failed", "names no runtime"),
        ('"openenv-async>=0.1.0"', '"OpenEnv_Core[x]>=0.2"', "ok", "depends on the runtime"),
        ("echo_env.server.app:main", "echo_env.server.app:mein", "failed", "names mein"),
        ("echo_env.server.app:main", "echo_env.server.gone:main", "failed", "there is no server/gone.py"),
        ("echo_env.server.app:main", "main", "failed", "module:function"),
        ("[project.scripts]", "[project.other]", "warned", "no `server` script"),
        ("[project]", "[project", "failed", "not TOML"),
        ("[build-system]", "project = 1\n[build-system]", "failed", "not TOML"),
    ],
)
def test_the_project_file(tmp_path: Path, old: str, new: str, result: str, words: str) -> None:
    folder = good_env(tmp_path)
    edit(folder / "pyproject.toml", old, new)
    check = one(check_texts(folder)[0], "pyproject")
    assert (check.result, words in check.sentence) == (result, True), check
    assert result == "ok" or check.line


@pytest.mark.parametrize(
    ("old", "new", "result", "words"),
    [
        ("EXPOSE 8000", "EXPOSE 9000", "failed", "exposes 9000"),
        ("EXPOSE 8000", "ARG PORT=8000\nEXPOSE ${PORT}/tcp", "ok", "port 8000"),
        ("EXPOSE 8000", "", "warned", "exposes no port"),
        ("EXPOSE 8000", "EXPOSE 8000\nENV OPENAI_API_KEY=sk-1", "failed", "ENV OPENAI_API_KEY"),
        ("EXPOSE 8000", "EXPOSE 8000\nENV HF_TOKEN hf_x", "failed", "ENV HF_TOKEN"),
        ("EXPOSE 8000", "EXPOSE 8000\nENV HF_TOKEN=${HF_TOKEN}", "ok", "no secrets"),
        ("EXPOSE 8000", "EXPOSE 8000\nENV MAX_TOKENS=5 TOKENIZERS_PARALLELISM=false", "ok", "no secrets"),
        ("EXPOSE 8000", "EXPOSE 8000\nARG HF_TOKEN", "warned", "ARG HF_TOKEN"),
        ("EXPOSE 8000", "EXPOSE 8000\nRUN --mount=type=cache,target=/c true", "warned", "RUN --mount"),
        ("OPENENV_HOST=0.0.0.0", "OPENENV_HOST=127.0.0.1", "failed", "inside the container only"),
        ('"serve", ', '"serve", "--host", "127.0.0.1", ', "failed", "inside the container only"),
        ("EXPOSE 8000", "EXPOSE 8000\nRUN echo -----BEGIN PRIVATE KEY-----", "failed", "a private key"),
    ],
)
def test_the_dockerfile(tmp_path: Path, old: str, new: str, result: str, words: str) -> None:
    folder = good_env(tmp_path)
    edit(folder / "server" / "Dockerfile", old, new)
    check = one(check_texts(folder)[0], "dockerfile")
    assert (check.result, words in check.sentence) == (result, True), check


def test_a_dockerfile_without_an_image_to_start_from(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    (folder / "server" / "Dockerfile").write_text("# nothing\n", encoding="utf-8")
    assert "no FROM" in one(check_texts(folder)[0], "dockerfile").sentence


def test_several_problems_of_one_file_are_all_told(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "server" / "Dockerfile", "EXPOSE 8000", "EXPOSE 1\nENV A_TOKEN=x\nARG B_SECRET=y")
    checks = of(check_texts(folder)[0], "dockerfile")
    assert sorted(check.result for check in checks) == ["failed", "failed", "warned"]


def test_a_project_file_without_its_table(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    (folder / "pyproject.toml").write_text("[tool.x]\n", encoding="utf-8")
    assert "no [project] table" in one(check_texts(folder)[0], "pyproject").sentence


def test_a_lock_file_that_is_behind_fails_and_a_missing_one_warns(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    project = '[project]\nname = "locked"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = []\n'
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    assert [c.result for c in asyncio.run(check_lock(folder))] == ["warned"]
    lock = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[[package]]\nname = "locked"\nversion = "0"\n'
    (folder / "uv.lock").write_text(lock + 'source = { virtual = "." }\n', encoding="utf-8")
    assert [c.result for c in asyncio.run(check_lock(folder))] == ["ok" if find_uv() else "skipped"]
    edit(folder / "pyproject.toml", ">=3.11", ">=3.10")
    assert [c.result for c in asyncio.run(check_lock(folder))] == ["failed" if find_uv() else "skipped"]


def test_without_uv_the_lock_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = good_env(tmp_path)
    (folder / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)
    (check,) = asyncio.run(check_lock(folder))
    assert check.result == "skipped"
    assert "uv is not installed" in check.sentence
