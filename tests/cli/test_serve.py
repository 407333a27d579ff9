"""`openenv serve` from its first line to its last: what it finds, prints, accepts, and how it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.serve_command import BOUND_S, STYLES, serving, write_env

import openenv_async
from openenv_async import AsyncEnv
from openenv_async.errors import EnvError, StepTimeout, Unauthorized


async def play(url: str, *messages: str, **options: Any) -> list[str]:
    async with AsyncEnv[Any, Any, Any](url, **options) as env:
        first = await env.reset(seed=1)
        results = [await env.step({"message": message}) for message in messages]
    return [result.observation["echoed"] for result in (first, *results)]


@pytest.mark.parametrize("style", STYLES)
def test_serves_a_folder_however_its_files_import_each_other(style: str, tmp_path: Path) -> None:
    write_env(tmp_path / "my_env", style)
    with serving("my_env", "--port", "0", cwd=tmp_path) as server:
        url = server.url()
        assert httpx.get(f"{url}/health").status_code == 200
        assert asyncio.run(play(url, "hi")) == ["VERSION 1", "hi"]
        server.process.send_signal(signal.SIGTERM)
        code, text = server.end()
    assert code == 0
    assert "closed" in text
    assert text.endswith("Stopped.\n")


@pytest.mark.parametrize(
    ("folder", "name", "target", "cwd"),
    [
        ("my-env-main", "my_env", "my-env-main", "."),
        ("env", "my-env", "env", "."),
        ("json", "json", "json", "."),
        ("my_env", "my_env", ".", "my_env"),
        ("my_env", "my_env", "server.app:app", "my_env"),
        ("my_env", "my_env", "server/app.py", "my_env"),
        ("my_env", "my_env", "my_env/server/environment.py:EchoEnvironment", "."),
        ("my_env", "my_env", "my_env.server.app:app", "."),
        ("my_env", "my_env", "my_env.server.environment:EchoEnvironment", "."),
    ],
)
def test_every_way_to_name_an_environment(folder: str, name: str, target: str, cwd: str, tmp_path: Path) -> None:
    write_env(tmp_path / folder, name=name)
    with serving(target, "--port=0", cwd=tmp_path / cwd) as server:
        assert asyncio.run(play(server.url(), "hi")) == ["VERSION 1", "hi"]


def test_the_current_folder_is_the_default_and_the_port_is_the_manifests(tmp_path: Path) -> None:
    folder = write_env(tmp_path / "my_env")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    manifest = folder / "openenv.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("8000", str(port)), encoding="utf-8")
    with serving(cwd=folder) as server:
        assert server.url() == f"http://127.0.0.1:{port}"


def test_an_app_of_any_kind_in_a_single_file(tmp_path: Path) -> None:
    source = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def make() -> Starlette:
    return Starlette(routes=[Route("/", lambda request: PlainTextResponse("made"))])
"""
    (tmp_path / "tiny.py").write_text(source, encoding="utf-8")
    with serving("tiny.py:make", "--port=0", cwd=tmp_path) as server:
        assert httpx.get(server.url()).text == "made"
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0


def test_prints_a_snippet_that_works_as_it_stands(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", cwd=tmp_path) as server:
        url = server.url()
        server.until("or from asyncio code")
        server.until("async with")
        code = [line.strip() for line in server.lines if line.startswith("    ") and "async" not in line.lower()]
        assert url in code[1]
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(code)],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            env=os.environ | {"PYTHONPATH": str(Path(openenv_async.__file__).parents[1])},
        )
    assert "VERSION 1" in done.stdout, done.stderr


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_the_call_in_flight_end_and_closes_every_environment(
    kind: signal.Signals, tmp_path: Path
) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", cwd=tmp_path) as server:
        url = await asyncio.to_thread(server.url)
        async with AsyncEnv[Any, Any, Any](url) as busy, AsyncEnv[Any, Any, Any](url) as idle:
            await busy.reset()
            await idle.reset()
            step = asyncio.create_task(busy.step({"message": "hang 0.3"}))
            await asyncio.to_thread(server.until, "hanging")
            server.process.send_signal(kind)
            assert (await asyncio.wait_for(step, BOUND_S)).observation["echoed"] == "hang 0.3"
            code, text = await asyncio.to_thread(server.end)
    assert code == 0
    assert text.count("closed") == 2
    assert "Traceback" not in text


async def test_an_environment_that_hangs_does_not_keep_the_server(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", "--grace=0.1", cwd=tmp_path) as server:
        url = await asyncio.to_thread(server.url)
        async with AsyncEnv[Any, Any, Any](url) as env:
            await env.reset()
            step = asyncio.create_task(env.step({"message": "hang 3600"}))
            await asyncio.to_thread(server.until, "hanging")
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(EnvError):
                await asyncio.wait_for(step, BOUND_S)
            code, text = await asyncio.to_thread(server.end)
    assert code == 0
    assert "Traceback" not in text


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", "--grace=3600", cwd=tmp_path) as server:
        url = await asyncio.to_thread(server.url)
        async with AsyncEnv[Any, Any, Any](url) as env:
            await env.reset()
            step = asyncio.create_task(env.step({"message": "hang 3600"}))
            await asyncio.to_thread(server.until, "hanging")
            server.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(server.until, "Stopping: calls in flight have 3600 s")
            server.process.send_signal(signal.SIGINT)
            code, text = await asyncio.to_thread(server.end)
            step.cancel()
    assert code == -signal.SIGINT
    assert "Traceback" not in text


def test_the_options_reach_the_app(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    options = ["--max-sessions=1", "--execution=inline", "--allow-origin=https://a.example", "--debug"]
    with serving("my_env", "--port=0", *options, cwd=tmp_path) as server:
        url = server.url()
        with httpx.Client(base_url=url) as client:
            first = client.post("/reset", json={})
            assert first.status_code == 200
            assert "x-session-id" in first.headers
            assert client.post("/reset", json={}).status_code >= 400
            assert client.get("/metadata", headers={"origin": "https://a.example"}).status_code != 403
            assert client.get("/metadata", headers={"origin": "https://b.example"}).status_code == 403


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_token_is_required_and_hidden_from_the_environment(how: str, tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    arguments = ["--token", "s3cret"] if how == "option" else []
    variables = {"OPENENV_TOKEN": "s3cret"} if how == "variable" else {}
    with serving("my_env", "--port=0", "--host=0.0.0.0", *arguments, cwd=tmp_path, variables=variables) as server:
        url = server.url().replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/health").status_code == 200
        assert httpx.get(f"{url}/metadata").status_code == 401
        with pytest.raises(Unauthorized):
            asyncio.run(play(url))
        assert asyncio.run(play(url, "token", token="s3cret")) == ["VERSION 1", "None"]
        server.process.send_signal(signal.SIGTERM)
        _, text = server.end()
    assert "s3cret" not in text
    assert "Warning" not in text


def test_listening_to_others_without_a_token_names_the_risk(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", "--host=0.0.0.0", cwd=tmp_path) as server:
        server.until(r"Warning: everybody who can reach http://0\.0\.0\.0:\d+ can run this environment's code")


def test_an_option_that_an_app_of_somebody_elses_does_not_heed_is_told(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("async def app(scope, receive, send): ...\n", encoding="utf-8")
    with serving("bare.py", "--port=0", "--token=s3cret", "--max-sessions=2", cwd=tmp_path) as server:
        server.until("Warning: bare is not an app of create_app, so nothing enforces --max-sessions, --token.")


def test_a_unix_socket(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    path = tmp_path / "s"
    with serving("my_env", "--unix", "s", cwd=tmp_path) as server:
        assert server.url() == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert asyncio.run(play(f"unix:{path}", "hi")) == ["VERSION 1", "hi"]
        with serving("my_env", "--unix", "s", cwd=tmp_path) as second:
            code, text = second.end()
            assert (code, "is in use: a server listens on it" in text) == (1, True)
        server.process.kill()  # leaves its file behind
        server.process.wait(BOUND_S)
    with serving("my_env", "--unix", "s", cwd=tmp_path) as server:
        server.url()
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0
    assert not path.exists()


@requirement("deadline:server")
@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_servers_deadline_is_an_option_or_a_variable(how: str, tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    arguments = ["--step-timeout", "0.3"] if how == "option" else []
    variables = {"OPENENV_STEP_TIMEOUT": "0.3"} if how == "variable" else {}
    with serving("my_env", "--port=0", *arguments, cwd=tmp_path, variables=variables) as server:
        url = server.url()
        with pytest.raises(StepTimeout, match=r"did not finish within 0\.3 s"):
            asyncio.run(play(url, "hang 1"))
        assert asyncio.run(play(url, "hi")) == ["VERSION 1", "hi"]
