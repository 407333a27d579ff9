"""`openenv validate` and `openenv info` as their users run them: output, exit codes, servers at URLs, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from support.servers import serving
from validated import edit, good_env, is_alive, small_env

from openenv_async import Action, Environment, Observation, State
from openenv_async.server import create_app_for

OPENENV = [sys.executable, "-m", "openenv_async.cli"]
BOUND_S = 60.0


class SayAction(Action):
    message: str


class SayObservation(Observation):
    said: str = ""


class SayEnvironment(Environment[SayAction, SayObservation, State]):
    """Says what it hears."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> SayObservation:
        return SayObservation(said="begin")

    def step(self, action: SayAction) -> SayObservation:
        return SayObservation(said=action.message, reward=1.0)

    @property
    def state(self) -> State:
        return State()


class JsonOnly:
    """A server that takes no subprotocol, as OpenEnv's does not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope = {**scope, "subprotocols": []}
        await self._app(scope, receive, send)


def run(*words: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OPENENV, *map(str, words)],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


async def run_beside(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command while the test's own loop goes on serving."""
    return await asyncio.to_thread(lambda: run(*words, cwd=None, **variables))


def test_a_good_environment_is_valid(tmp_path: Path) -> None:
    good_env(tmp_path)
    done = run("validate", "echo_env", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Validating echo_env (runtime)\n\nFiles and code\n  ok       manifest")
    assert "yes      local (python) `openenv serve` started it, and it was played" in done.stdout
    assert "\nValid: " in done.stdout


def test_the_folder_one_is_in_is_the_default_and_what_is_wrong_exits_1(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    edit(folder / "openenv.yaml", "port: 8000", "prot: 8000\nport: x")
    done = run("validate", "--level", "static", cwd=folder)
    assert done.returncode == 1
    assert "  failed   manifest     openenv.yaml:8:7: port must be a number from 0 to 65535, not 'x'" in done.stdout
    assert "did you mean port?" in done.stdout
    # Passed over for the same reason, on one line.
    assert done.stdout.count("does not lead to an app") == 1
    assert "Not valid: " in done.stdout


def test_the_json_is_alone_on_stdout_and_in_the_file_too(tmp_path: Path) -> None:
    folder = small_env(tmp_path, "def step(self, action):\n    print('noise')\n    raise ValueError('never')")
    done = run("validate", folder, "--json", "--output", tmp_path / "report.json")
    assert done.returncode == 1
    report: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert (report["format"], report["kind"], report["ok"], report["level"]) == (1, "folder", False, "runtime")
    failed = [check["name"] for check in report["checks"] if check["result"] == "failed"]
    assert failed == ["pyproject", "dockerfile", "step"]
    assert report["counts"]["failed"] == 3
    assert {mode["name"] for mode in report["modes"]} == {"local", "uv", "docker", "space"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (".", "has no openenv.yaml"),
        ("gone", "there is no folder gone"),
        ("a_file", "is a file"),
        ("http://127.0.0.1:9", "nothing answers at http://127.0.0.1:9"),
    ],
)
def test_what_is_no_environment_exits_2(tmp_path: Path, target: str, words: str) -> None:
    (tmp_path / "a_file").touch()
    done = run("validate", target, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert words in json.loads(done.stdout)["error"]
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_neither_has_info_anything_to_say_of_it(tmp_path: Path) -> None:
    done = run("info", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no openenv.yaml" in done.stderr


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    done = run("validate", good_env(tmp_path), "--output", tmp_path / "nowhere" / "report.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no folder" in done.stderr


@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
@pytest.mark.parametrize("kind", ["native", "json"])
async def test_a_running_server_is_a_target(kind: str) -> None:
    app = create_app_for(SayEnvironment, max_concurrent_envs=4, token="open-sesame")
    async with serving(app if kind == "native" else JsonOnly(app)) as served:
        done = await run_beside("validate", served.url, "--json", OPENENV_TOKEN="open-sesame")
        info = await run_beside("info", served.url, "--token", "open-sesame")
        refused = await run_beside("validate", served.url, "--json", OPENENV_TOKEN="")
        assert app.server.registry.active == 0
    report = json.loads(done.stdout)
    assert (done.returncode, report["kind"]) == (0, "server"), report
    results = {check["name"]: check["result"] for check in report["checks"]}
    assert results.pop("files") == "skipped"
    assert set(results.values()) == {"ok"}, report
    assert f"wire           {'native 1' if kind == 'native' else 'OpenEnv JSON'}" in info.stdout
    assert ("max sessions   4" in info.stdout) is (kind == "native")
    assert "message        string" in info.stdout
    assert refused.returncode == 1
    assert "token" in json.dumps(json.loads(refused.stdout)["checks"])


class LeavingSlowly(SayEnvironment):
    def close(self) -> None:
        time.sleep(0.2)


@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_server_with_one_place_is_valid() -> None:
    """Each look at it waits until the place of the one before is free: on this wire nobody waits for a place."""
    app = create_app_for(LeavingSlowly, max_concurrent_envs=1)
    async with serving(JsonOnly(app)) as served:
        done = await run_beside("validate", served.url.removeprefix("http://"), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert [c["name"] for c in report["checks"] if c["result"] == "skipped"] == ["files", "sessions"]


@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_server_of_something_else_is_no_environment() -> None:
    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"nothing here"})

    async with serving(elsewhere) as served:
        done = await run_beside("validate", served.url)
    assert done.returncode == 2
    assert "not an environment server" in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    slow = f"def step(self, action):\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n    time.sleep(60)"
    folder = small_env(tmp_path, slow)
    process = subprocess.Popen(
        [*OPENENV, "validate", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    bomb = threading.Timer(BOUND_S, process.kill)
    bomb.start()
    try:
        server = int(pid.read_text(encoding="utf-8"))
        process.send_signal(signum)
        _, errors = process.communicate(timeout=BOUND_S)
    finally:
        bomb.cancel()
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (130, "Error: stopped; nothing was left running\n")
    assert not is_alive(server)


def test_info_of_a_folder(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    (folder / ".git").mkdir()
    config = '[remote "origin"]\n\turl = https://me:hf_secret@huggingface.co/spaces/me/echo-env.git\n'
    (folder / ".git" / "config").write_text(config, encoding="utf-8")
    done = run("info", folder, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"echo_env, {folder}\n")
    for line in (
        "version        0.1.0",
        "execution      inline",
        "Space          me/echo-env",
        "image          none here",
    ):
        assert f"  {line}" in done.stdout
    assert "hf_secret" not in done.stdout
    said = json.loads(run("info", folder, "--json").stdout)
    assert said["schemas"]["action"]["required"] == ["message"]
    assert (said["kind"], said["max_sessions"] > 1, said["problems"]) == ("folder", True, [])


def test_info_of_a_broken_folder_says_what_it_can(tmp_path: Path) -> None:
    folder = good_env(tmp_path)
    (folder / "models.py").write_text("raise ValueError('broken')\n", encoding="utf-8")
    done = run("info", folder, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 0
    assert "echo_env" in done.stdout
    assert "ValueError: broken" in done.stderr


def test_help_loads_neither_server_nor_client() -> None:
    code = "import sys; from openenv_async.cli import main; main(['validate', '--help'], standalone_mode=False); "
    code += (
        "sys.exit([m for m in sys.modules if m.startswith(('httpx', 'starlette', 'openenv_async.conformance'))] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "openenv validate my_env --level full" in done.stdout
