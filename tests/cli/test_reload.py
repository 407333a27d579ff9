"""`openenv serve --reload`: a change takes effect, an error waits for the next one, nothing outlives the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.serve_command import BOUND_S, Serving, edit, serving, write_env

from openenv_async import AsyncEnv
from openenv_async.cli.reload import Supervised, changed, snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_env(tmp_path / "my_env")


@pytest.fixture
def server(folder: Path) -> Iterator[Serving]:
    with serving("my_env", "--reload", "--port=0", cwd=folder.parent) as running:
        yield running


def first_words(url: str) -> str:
    return str(httpx.post(f"{url}/reset", json={}, timeout=BOUND_S).json()["observation"]["echoed"])


def child_of(server: Serving) -> psutil.Process:
    return next(child for child in psutil.Process(server.process.pid).children() if "serve" in child.cmdline())


def test_a_change_takes_effect_at_the_same_address(folder: Path, server: Serving) -> None:
    url = server.url()
    assert first_words(url) == "VERSION 1"
    edit(folder / "server" / "environment.py", "VERSION 1", "VERSION 2")
    server.until(r"Changed: my_env/server/environment\.py\. Restarting\.")
    # The address stays open meanwhile: this waits for the new process and is never refused.
    assert first_words(url) == "VERSION 2"
    server.until(f"Serving the changed my_env on {url}")
    server.process.send_signal(signal.SIGINT)
    code, text = server.end()
    assert code == 0
    assert text.endswith("Stopped.\n")
    assert "Traceback" not in text


def test_a_broken_edit_is_told_and_the_next_one_serves_again(folder: Path, server: Serving) -> None:
    url = server.url()
    edit(folder / "server" / "app.py", "app = create_app(", "app = create_app((")
    server.until(r"Error: my_env/server/app\.py:\d+: SyntaxError")
    server.until("Waiting for a change")
    edit(folder / "server" / "app.py", "app = create_app((", "app = create_app(")
    server.until(f"Serving the changed my_env on {url}")
    assert first_words(url) == "VERSION 1"


def test_an_environment_that_is_broken_from_the_start_waits_too(folder: Path) -> None:
    edit(folder / "models.py", "class EchoAction(Action)", "class EchoAction(Acton)")
    with serving("my_env", "--reload", "--port=0", cwd=folder.parent) as server:
        server.until(r"Error: my_env/models\.py:4: NameError: name 'Acton' is not defined")
        server.until("Waiting for a change")
        edit(folder / "models.py", "(Acton)", "(Action)")
        assert first_words(server.until(r"Serving the changed my_env on (\S+)")[1]) == "VERSION 1"


async def test_a_change_closes_the_environments_of_the_old_process(folder: Path) -> None:
    with serving("my_env", "--reload", "--port=0", cwd=folder.parent) as server:
        async with AsyncEnv[Any, Any, Any](await asyncio.to_thread(server.url)) as env:
            await env.reset()
            (folder / "new.py").write_text("", encoding="utf-8")
            await asyncio.to_thread(server.until, "closed")
            await asyncio.to_thread(server.until, "Serving the changed")


def test_a_process_that_does_not_stop_is_not_waited_for(folder: Path) -> None:
    with serving("my_env", "--reload", "--grace=0.1", "--port=0", cwd=folder.parent) as server:
        url = server.url()
        with httpx.Client(base_url=url, timeout=0.5) as client:
            session = client.post("/reset", json={}).headers["x-session-id"]
            with pytest.raises(httpx.ReadTimeout):
                client.post("/step", json={"action": {"message": "hang 3600"}}, headers={"x-session-id": session})
        edit(folder / "server" / "environment.py", "VERSION 1", "VERSION 2")
        server.until("Serving the changed")
        assert first_words(url) == "VERSION 2"


def test_the_server_ends_with_its_supervisor_even_when_that_is_killed(server: Serving) -> None:
    server.url()
    child = child_of(server)
    server.process.kill()
    assert psutil.wait_procs([child], timeout=BOUND_S)[1] == []


def test_ctrl_c_for_the_whole_terminal_stops_both_once(folder: Path, server: Serving) -> None:
    url = server.url()
    first_words(url)
    child = child_of(server)
    # The terminal sends it to both; to the child it must not be the first of two.
    child.send_signal(signal.SIGINT)
    server.process.send_signal(signal.SIGINT)
    code, text = server.end()
    assert code == 0
    assert "closed" in text
    assert "Traceback" not in text
    assert not child.is_running()


def test_a_unix_socket_is_kept_and_removed_at_the_end(folder: Path) -> None:
    path = folder.parent / "s"
    with serving("my_env", "--reload", "--unix=s", cwd=folder.parent) as server:
        assert server.url() == f"unix:{path}"
        before = path.stat().st_ino
        edit(folder / "server" / "environment.py", "VERSION 1", "VERSION 2")
        server.until(f"Serving the changed my_env on unix:{path}")
        assert path.stat().st_ino == before
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0
    assert not path.exists()


def test_the_token_is_not_in_the_list_of_processes(folder: Path) -> None:
    variables = {"OPENENV_TOKEN": "s3cret"}
    with serving("my_env", "--reload", "--port=0", cwd=folder.parent, variables=variables) as server:
        url = server.url()
        assert "s3cret" not in " ".join(child_of(server).cmdline())
        assert httpx.get(f"{url}/metadata").status_code == 401
        assert httpx.get(f"{url}/metadata", headers={"authorization": "Bearer s3cret"}).status_code == 200


def test_a_snapshot_sees_python_and_yaml_and_nothing_that_tools_write(tmp_path: Path) -> None:
    for name in ("a.py", "b.yaml", "c.txt", "__pycache__/d.py", ".venv/e.py", "sub/f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    before = snapshot(tmp_path)
    assert {Path(path).relative_to(tmp_path).as_posix() for path in before} == {"a.py", "b.yaml", "sub/f.py"}
    assert changed(before, snapshot(tmp_path)) == []
    (tmp_path / "a.py").unlink()
    os.utime(tmp_path / "b.yaml", (1, time.time() + 10))
    (tmp_path / "g.py").touch()
    assert [path.name for path in changed(before, snapshot(tmp_path))] == ["a.py", "b.yaml", "g.py"]


def test_what_the_supervisor_passes_reads_back() -> None:
    passed = Supervised((3, 5), 7, 2)
    assert Supervised.parse(str(passed)) == passed
