"""`openenv init` on a real disk: the whole project, or nothing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

OPENENV = [sys.executable, "-m", "openenv_async.cli"]

LAYOUT = {
    ".dockerignore",
    ".gitignore",
    "README.md",
    "__init__.py",
    "client.py",
    "models.py",
    "openenv.yaml",
    "py.typed",
    "pyproject.toml",
    "server/Dockerfile",
    "server/__init__.py",
    "server/app.py",
    "server/my_environment.py",
    "server/requirements.txt",
    "tests/test_my.py",
    "uv.lock",
}


def openenv(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OPENENV, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files(folder: Path) -> set[str]:
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def test_the_project_is_whole(tmp_path: Path) -> None:
    done = openenv("init", "my_env", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Created my_env with 17 files, uv.lock among them." in done.stdout
    assert "server/my_environment.py" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["my_env"]
    wheels = {each for each in files(tmp_path / "my_env") if each.startswith("wheels/openenv_async-")}
    assert len(wheels) == 1
    assert files(tmp_path / "my_env") - wheels == LAYOUT


def test_the_project_can_go_to_another_machine(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    for where in ("first", "second"):
        assert openenv("init", "my_env", "-o", where, cwd=tmp_path).returncode == 0
    first, second = tmp_path / "first" / "my_env", tmp_path / "second" / "my_env"
    for path in files(first):
        content = (first / path).read_bytes()
        assert content == (second / path).read_bytes(), path
        assert str(tmp_path).encode() not in content, path
        assert str(Path.home()).encode() not in content or str(Path.home()) == "/", path
    lock = (first / "uv.lock").read_text(encoding="utf-8")
    assert 'source = { path = "wheels/openenv_async-' in lock


def test_folders_above_are_made(tmp_path: Path) -> None:
    done = openenv("init", "my_env", "--output-dir", "a/b", cwd=tmp_path)
    assert done.returncode == 0
    assert "cd a/b/my_env" in done.stdout
    assert (tmp_path / "a/b/my_env/openenv.yaml").is_file()


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "my_env").mkdir()
    assert openenv("init", "my_env", cwd=tmp_path).returncode == 0
    assert (tmp_path / "my_env/openenv.yaml").is_file()


def test_others_may_read_the_project_as_the_umask_says(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        assert openenv("init", "my_env", cwd=tmp_path).returncode == 0
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "my_env").stat().st_mode) == 0o755
    for file in (tmp_path / "my_env").rglob("*"):
        assert file.stat().st_mode & stat.S_IROTH, file


def refused(done: subprocess.CompletedProcess[str], reason: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my_env").mkdir()
    (tmp_path / "my_env" / "mine.txt").write_text("mine", encoding="utf-8")
    refused(openenv("init", "my_env", cwd=tmp_path), "my_env exists and is not empty")
    assert files(tmp_path) == {"my_env/mine.txt"}


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my_env").write_text("mine", encoding="utf-8")
    refused(openenv("init", "my_env", cwd=tmp_path), "my_env exists and is not a folder")
    assert (tmp_path / "my_env").read_text(encoding="utf-8") == "mine"


def test_a_link_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my_env").symlink_to("elsewhere")
    refused(openenv("init", "my_env", cwd=tmp_path), "my_env exists and is not a folder")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_where_the_output_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    refused(openenv("init", "my_env", "-o", "file/deeper", cwd=tmp_path), "file/deeper")
    assert files(tmp_path) == {"file"}


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Permissions do not bind root; the kernel's own folder refuses new files even so.
        target = Path("/proc/self")
    else:
        target = tmp_path / "closed"
        target.mkdir(mode=0o500)
    refused(openenv("init", "my_env", "-o", str(target), cwd=tmp_path), f"Cannot write to {target}")
    refused(openenv("init", "my_env", "-o", str(target / "deeper"), cwd=tmp_path), f"Cannot write to {target}")


@pytest.fixture
def silent_index() -> socket.socket:
    """A package index that takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    return listener


def test_ctrl_c_while_locking_leaves_nothing(tmp_path: Path, silent_index: socket.socket) -> None:
    with silent_index:
        index = f"http://127.0.0.1:{silent_index.getsockname()[1]}/simple"
        environment = os.environ | {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache")}
        (tmp_path / "here").mkdir()
        process = subprocess.Popen(
            [*OPENENV, "init", "my_env", "--output-dir", "new/folder"],
            cwd=tmp_path / "here",
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent_index.accept()  # uv is asking: the project is half written
        with connection:
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Aborted" in stderr
    assert not list((tmp_path / "here").iterdir())


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path, silent_index: socket.socket) -> None:
    port = silent_index.getsockname()[1]
    silent_index.close()  # nobody listens there any more
    done = openenv(
        *("init", "my_env"),
        cwd=tmp_path,
        UV_DEFAULT_INDEX=f"http://127.0.0.1:{port}/simple",
        UV_CACHE_DIR=str(tmp_path / "cache"),
        UV_HTTP_RETRIES="0",
    )
    assert done.returncode == 0
    assert done.stderr.startswith("uv.lock was not written (")
    assert done.stderr.endswith("run `uv lock` in my_env.\n")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "my_env" / "uv.lock").exists()
    assert LAYOUT - {"uv.lock"} <= files(tmp_path / "my_env")


def test_a_uv_workspace_above_is_not_touched(tmp_path: Path) -> None:
    workspace = '[project]\nname = "above"\nversion = "1"\n\n[tool.uv.workspace]\nmembers = ["*", ".*"]\n'
    (tmp_path / "pyproject.toml").write_text(workspace, encoding="utf-8")
    assert openenv("init", "my_env", cwd=tmp_path).returncode == 0
    assert (tmp_path / "my_env" / "uv.lock").is_file()
    assert {each.name for each in tmp_path.iterdir()} == {"my_env", "pyproject.toml"}
