"""`openenv serve --execution process`, as its users run it: its end, its sudden end, and what else serves apps."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from requirements import requirement
from support.serve_command import Serving, edit, serving, write_env
from support.servers import BOUND_S, bounded
from support.shared_journal import gone, until

import openenv_async
from openenv_async import AsyncEnv

ONCE = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


async def connected(url: str) -> AsyncEnv[Any, Any, Any]:
    return await bounded(AsyncEnv.connect(url))


def family(server: Serving) -> list[int]:
    return [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]


async def whole_family(server: Serving, size: int) -> list[int]:
    """Wait until there are so many, as spare ones are forked when there is time."""
    await until(lambda: len(family(server)) == size, f"not {size} processes")
    return family(server)


@contextlib.contextmanager
def served(tmp_path: Path, *options: str) -> Iterator[tuple[Serving, str]]:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", "--execution=process", *options, cwd=tmp_path) as server:
        yield server, server.url()


@requirement("process:serve", "close:server-stops")
@ONCE
@pytest.mark.parametrize("options", [(), ("--sessions-per-process=2", "--spare-processes=0")])
async def test_sigterm_closes_every_environment_and_leaves_no_process(tmp_path: Path, options: tuple[str, ...]) -> None:
    with served(tmp_path, *options) as (server, url):
        clients = [await connected(url) for _ in range(3)]
        for client in clients:
            assert (await bounded(client.reset())).observation["echoed"] == "VERSION 1"
            assert (await bounded(client.step({"message": "hi"}))).observation["echoed"] == "hi"
        # One forks the others; two are spare, unless the options say otherwise.
        pids = await whole_family(server, 3 if options else 6)
        server.process.terminate()
        code, text = await asyncio.to_thread(server.end)
        assert code == 0, text
        assert text.count("closed") == 3
        await gone(pids)
        for client in clients:
            await client.close()


@requirement("process:no-orphans", "process:serve")
@ONCE
@pytest.mark.parametrize("during", ["between calls", "in a call"])
async def test_sigkill_of_the_server_leaves_no_process(tmp_path: Path, during: str) -> None:
    with served(tmp_path) as (server, url):
        client = await connected(url)
        await bounded(client.reset())
        pids = await whole_family(server, 4)
        if during == "in a call":
            call = asyncio.ensure_future(client.step({"message": "hang 600"}))
            await asyncio.to_thread(server.until, "hanging")
            call.cancel()
        server.process.kill()
        await gone(pids, 2)
        await client.close()


@requirement("process:no-orphans")
@ONCE
async def test_sigkill_of_the_server_and_of_what_forks_processes_leaves_none(tmp_path: Path) -> None:
    with served(tmp_path) as (server, url):
        client = await connected(url)
        await bounded(client.reset())
        pids = await whole_family(server, 4)
        forking = [pid for pid in pids if psutil.Process(pid).ppid() == server.process.pid]
        assert len(forking) == 1
        os.kill(forking[0], signal.SIGSTOP)
        server.process.kill()
        os.kill(forking[0], signal.SIGKILL)
        await gone(pids, 2)
        await client.close()


@requirement("process:serve")
@ONCE
async def test_reload_brings_processes_with_the_changed_code(tmp_path: Path) -> None:
    with served(tmp_path, "--reload", "--spare-processes=1") as (server, url):
        client = await connected(url)
        assert (await bounded(client.reset())).observation["echoed"] == "VERSION 1"
        await client.close()
        edit(tmp_path / "my_env" / "server" / "environment.py", "VERSION 1", "VERSION 2")
        await asyncio.to_thread(server.until, "Serving the changed")
        again = await connected(url)
        assert (await bounded(again.reset())).observation["echoed"] == "VERSION 2"
        await again.close()
        server.process.terminate()
        code, text = await asyncio.to_thread(server.end)
        assert code == 0, text


THREADED = "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


@requirement("process:serve", "process:threads")
@ONCE
async def test_a_folder_whose_library_starts_threads_is_imported_by_each_process(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    edit(tmp_path / "my_env" / "server" / "environment.py", "import os, sys, time\n", f"import os, sys\n{THREADED}")
    with serving("my_env", "--port=0", "--execution=process", cwd=tmp_path) as server:
        client = await connected(server.url())
        assert (await bounded(client.reset())).observation["echoed"] == "VERSION 1"
        await whole_family(server, 4)
        # An interpreter of its own forks them, not the server with its threads.
        forking = [
            p for p in psutil.Process(server.process.pid).children() if "processes.fork_server" in " ".join(p.cmdline())
        ]
        assert len(forking) == 1
        await client.close()
        server.process.terminate()
        code, text = await asyncio.to_thread(server.end)
        assert code == 0, text
        assert text.count("closed") == 1


@requirement("process:serve")
def test_options_for_processes_without_processes_are_told(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    with serving("my_env", "--port=0", "--spare-processes=1", cwd=tmp_path) as server:
        server.until("Warning: --sessions-per-process and --spare-processes need --execution process")
        server.url()


@requirement("process:serve")
@ONCE
async def test_a_gymnasium_environment_in_processes(tmp_path: Path) -> None:
    arguments = ("gym:CartPole-v1", "--port=0", "--execution=process", "--spare-processes=1")
    with serving(*arguments, cwd=tmp_path) as server:
        client = await connected(server.url())
        await bounded(client.reset(seed=3))
        assert (await bounded(client.step({"action": 1}))).reward == 1.0
        await client.close()


UVICORN = """\
import sys
import uvicorn
from my_env.server.app import app
uvicorn.run(app, port=0, log_level="info")
"""


@contextlib.contextmanager
def _uvicorn(folder: Path) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(folder), str(Path(openenv_async.__file__).parents[1])])
    server = subprocess.Popen(
        [sys.executable, "-c", UVICORN],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


@requirement("process:serve")
@ONCE
async def test_under_uvicorn(tmp_path: Path) -> None:
    write_env(tmp_path / "my_env")
    app = tmp_path / "my_env" / "server" / "app.py"
    edit(app, 'env_name="echo"', 'execution="process"')
    with _uvicorn(tmp_path) as server:
        assert server.stderr is not None
        line = ""
        while "running on" not in line:
            line = await bounded(asyncio.to_thread(server.stderr.readline))
        client = await connected(line.split("running on ")[1].split()[0])
        await bounded(client.reset())
        async with asyncio.timeout(BOUND_S):
            # The one that all are forked from, the session's, and two to spare, which are made meanwhile.
            while len(pids := _below(server)) < 4:  # noqa: ASYNC110 - another process's children send no event
                await asyncio.sleep(0.02)
        assert len(pids) == 4
        await client.close()
        server.terminate()
        await bounded(asyncio.to_thread(server.wait))
        await gone(pids)


def _below(server: subprocess.Popen[str]) -> list[int]:
    return [child.pid for child in psutil.Process(server.pid).children(recursive=True)]
