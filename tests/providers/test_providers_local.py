"""`LocalProcessProvider` starts real servers, and leaves none behind."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from provided import BOUND_S, ECHO, owner, until_refused

from openenv_async import AsyncEnv
from openenv_async.cli.names import parse_name
from openenv_async.cli.project import create_project
from openenv_async.errors import ServerNotStarted
from openenv_async.providers import LocalProcessProvider

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


async def test_a_folder_is_served_and_ended_with_its_context() -> None:
    async with asyncio.timeout(BOUND_S), LocalProcessProvider(ECHO) as url, AsyncEnv(url) as env:
        await env.reset()
        assert (await env.step({"message": "hello"})).observation["echoed_message"] == "hello"
    await until_refused(url)


async def test_a_client_owns_the_provider_it_is_given() -> None:
    env = AsyncEnv(provider=LocalProcessProvider(ECHO))
    async with asyncio.timeout(BOUND_S), env:
        await env.reset()
        url = env.base_url
    assert url is not None
    await until_refused(url)


async def test_uv_makes_the_projects_own_environment_and_serves_it(tmp_path: Path) -> None:
    project = await asyncio.to_thread(create_project, parse_name("uv_env"), "msgspec", tmp_path / "uv_env")
    provider = LocalProcessProvider(project.folder, runner="uv")
    async with asyncio.timeout(3 * BOUND_S), provider as url, AsyncEnv(url) as env:
        await env.reset(seed=1)
    assert (project.folder / ".venv").is_dir()
    await until_refused(url)


def _git(words: list[str], folder: Path) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, timeout=30)


async def test_a_repository_is_cloned_and_the_clone_removed(tmp_path: Path) -> None:
    repository = tmp_path / "echo_env"
    shutil.copytree(ECHO, repository, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", ".venv"))
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        await asyncio.to_thread(_git, [*who, *words], repository)
    provider = LocalProcessProvider(f"git+file://{repository}@main")
    async with asyncio.timeout(BOUND_S), provider as url, AsyncEnv(url) as env:
        clone = provider.clone
        assert clone is not None and clone.is_dir()
        await env.reset()
    assert not clone.exists()


async def test_a_server_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "broken_env"
    shutil.copytree(ECHO, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models.py").write_text("raise RuntimeError('no such licence')\n", encoding="utf-8")
    with pytest.raises(ServerNotStarted, match="exit code 1") as failed:
        await asyncio.wait_for(LocalProcessProvider(folder).start(), BOUND_S)
    assert "no such licence" in failed.value.logs
    assert "models.py" in str(failed.value)


async def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerNotStarted) as failed:
            await asyncio.wait_for(LocalProcessProvider(ECHO, port=port).start(), BOUND_S)
        assert str(port) in str(failed.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [("no/such/folder", "is not a folder"), ("git+file:///no/such/repository", "git could not fetch")],
)
async def test_what_is_not_there_is_one_sentence(source: str, words: str) -> None:
    with pytest.raises(ServerNotStarted, match=words):
        await asyncio.wait_for(LocalProcessProvider(source).start(), BOUND_S)


async def test_a_start_that_is_cancelled_leaves_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    task = asyncio.create_task(LocalProcessProvider(ECHO, port=port).start())
    async with asyncio.timeout(BOUND_S):
        while True:  # until the server is there and its provider still waits for it to be healthy
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task], timeout=BOUND_S)
    if not task.cancelled():  # it was healthy in the same moment
        pytest.fail(f"the start was not cancelled: {task.result()}")
    await until_refused(f"http://127.0.0.1:{port}")


async def test_a_server_does_not_outlive_an_owner_that_is_killed() -> None:
    code = f"""
        import asyncio
        from openenv_async.providers import LocalProcessProvider
        async def main():
            print(await LocalProcessProvider({str(ECHO)!r}).start(), flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    process, url = await owner(code)
    process.kill()
    await asyncio.wait_for(process.wait(), BOUND_S)
    await until_refused(url)
