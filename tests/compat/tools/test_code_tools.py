"""`openenv.core.tools`: git repositories from a server, and Python code in a stand-in for smolagents."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import requirement

from openenv_async.compat.tools.git_server_client import GitServerClient, RepoInfo

STAND_IN = """
class Outcome:
    def __init__(self, **fields): self.__dict__.update(fields)

class LocalPythonExecutor:
    def __init__(self, additional_authorized_imports): self.names = {"allowed": additional_authorized_imports}
    def send_tools(self, tools): self.names.update(tools)
    def __call__(self, code): return eval(code, {"Outcome": Outcome}, self.names)
"""

USED = """
from openenv.core.tools.local_python_executor import PyExecutor
from openenv.core.tools import PyExecutor as same
assert PyExecutor is same
executor = PyExecutor(["math"])
for code in [
    "Outcome(logs='printed', output=[1])",
    "Outcome(output=Outcome, logs='')",
    "Outcome(error='bad')",
    "Outcome(success=False)",
    "Outcome(exit_code=3, exception=ValueError('v'))",
    "Outcome(output=allowed)",
    "Outcome(output=safe_json_dumps({'a': print}))",
]:
    done = executor.run(code)
    print([done.stdout, done.stderr, done.exit_code])
failed = executor.run("1 / 0")
print(failed.exit_code, "ZeroDivisionError" in failed.stderr)
"""


def python(script: str, folder: Path) -> str:
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom openenv_async.compat import install; install()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@requirement("compat:names")
def test_code_is_run_and_its_outcome_told(tmp_path: Path) -> None:
    (tmp_path / "smolagents.py").write_text(STAND_IN, encoding="utf-8")
    said = python(USED, tmp_path).splitlines()
    assert said[0] == "['printed\\n[1]', '', 0]"
    assert said[1] == "[\"<class 'smolagents.Outcome'>\", '', 0]"
    assert said[2:6] == ["['', 'bad', 1]", "['', '', 1]", "['', 'v', 3]", "['[\"math\"]', '', 0]"]
    assert "<built-in function print>" in said[6]
    assert said[7] == "1 True"


def test_without_smolagents_there_is_no_executor(tmp_path: Path) -> None:
    hidden = "import importlib.util; importlib.util.find_spec = lambda name: None\n"
    assert python(f"{hidden}from openenv.core.tools import PyExecutor; print(PyExecutor)", tmp_path) == "None\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=u", "-c", "user.email=u@e", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A folder of repositories behind HTTP, as git can read them without any server of its own."""
    root = tmp_path / "root"
    work = root / "work"
    work.mkdir(parents=True)
    git(work, "init", "-b", "main")
    for number in ("one", "two"):
        (work / "file").write_text(number, encoding="utf-8")
        git(work, "add", "-A")
        git(work, "commit", "-m", number)
    git(work, "branch", "other", "HEAD~1")
    (root / "me").mkdir()
    git(root, "clone", "--bare", str(work), "me/repo.git")
    git(root / "me" / "repo.git", "update-server-info")
    (root / "api" / "v1" / "user").mkdir(parents=True)
    repos = [{"name": "repo", "full_name": "me/repo", "clone_url": "u", "private": True}]
    (root / "api" / "v1" / "user" / "repos").write_text(json.dumps(repos), encoding="utf-8")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()
        thread.join()


@requirement("compat:names")
def test_repositories_are_cloned_and_reset(server: str, tmp_path: Path) -> None:
    client = GitServerClient(server, "me", "secret", workspace_dir=str(tmp_path / "space"))
    with pytest.raises(RuntimeError, match="not ready"):
        client.clone_to_workspace("repo")
    assert client.wait_for_ready() and client.is_ready
    assert client.list_repositories() == [{"name": "repo", "full_name": "me/repo", "clone_url": "u", "description": ""}]
    assert not client.workspace_exists("repo")
    path = Path(client.clone_to_workspace("repo"))
    newest = client.get_current_commit("repo")
    (path / "file").write_text("changed", encoding="utf-8")
    (path / "rubbish").touch()
    assert client.reset_workspace("repo") is True
    assert ((path / "file").read_text(encoding="utf-8"), (path / "rubbish").exists()) == ("two", False)
    assert client.reset_workspace("repo", "other")
    assert (path / "file").read_text(encoding="utf-8") == "one"
    assert client.reset_workspace("repo", newest) and client.get_current_commit("repo") == newest
    assert client.execute_git_command("log --format='%s' -1", "repo") == (0, "two\n", "")
    assert client.execute_git_command("status", "nowhere")[0] == 1
    assert Path(client.clone_to_workspace("repo", "again", "other")).name == "again"
    for name, commit in (("missing", "main"), ("repo", "no")):
        with pytest.raises(RuntimeError, match=r"(Clone|Checkout) failed: "):
            client.clone_to_workspace(name, commit=commit)
    with pytest.raises(RuntimeError, match="not found in workspace"):
        client.reset_workspace("nowhere")
    assert RepoInfo("repo", "u", newest, "c").commit == newest


def test_nobody_elses_git_configuration_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    client = GitServerClient("http://127.0.0.1:9", "me", "secret", workspace_dir=str(tmp_path / "space"))
    assert list((tmp_path / "home").iterdir()) == []
    assert client.execute_git_command("config --global user.name")[1] == "me\n"
    config = Path(client._git_env["GIT_CONFIG_GLOBAL"])
    assert (config.parent / "credentials").stat().st_mode & 0o777 == 0o600
    assert client.wait_for_ready(timeout=0) is False
