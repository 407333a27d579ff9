"""`from_hub`: a running Space, one that sleeps, one that cannot, and a copy served here; on the suite's own Hub."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from provided import BOUND_S, ECHO
from support.hub.server import Hub, running_hub
from support.hub.store import Repo

from openenv_async import AsyncEnv
from openenv_async.errors import ServerNotStarted, UsageError
from openenv_async.providers import LocalProcessProvider, SpaceProvider

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio-debug"])


@pytest.fixture(scope="module")
def shared_hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(shared_hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """A Hub without Spaces, and a client library that talks to it and has no token of its own."""
    import huggingface_hub.constants as constants
    import huggingface_hub.hf_api as hf_api

    fresh = shared_hub.fresh()
    monkeypatch.setattr(constants, "ENDPOINT", fresh.url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fresh.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hf_api.HfApi.__init__, "__defaults__", hf_api.HfApi.__init__.__defaults__)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return fresh


def space(hub: Hub, host: str | None, *stages: str, private: bool = False) -> Repo:
    repo = hub.store.add_repo("team/echo", files=_files(), private=private)
    repo.host, repo.stages = host, list(stages)
    return repo


def _files() -> dict[str, bytes]:
    found = {path: path.relative_to(ECHO).as_posix() for path in ECHO.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for path, name in found.items() if not name.split("/")[-2:-1] == ["__pycache__"]}


async def test_a_running_space_is_played(hub: Hub) -> None:
    async with asyncio.timeout(BOUND_S), LocalProcessProvider(ECHO) as url:
        space(hub, url, "RUNNING")
        env = await AsyncEnv.from_hub("team/echo")
        async with env:
            await env.reset()
            assert env.base_url == url


async def test_a_sleeping_space_is_woken_with_progress(hub: Hub) -> None:
    told: list[str] = []
    async with asyncio.timeout(BOUND_S), LocalProcessProvider(ECHO) as url:
        space(hub, url, "SLEEPING", "APP_STARTING", "RUNNING")
        async with SpaceProvider("team/echo", progress=told.append, poll_s=0.01) as found:
            assert found == url
    assert told == ["SLEEPING", "APP_STARTING", "RUNNING"]


@pytest.mark.parametrize(("stage", "words"), [("PAUSED", "is paused"), ("BUILD_ERROR", "its stage is BUILD_ERROR")])
async def test_a_space_that_cannot_run_says_why(hub: Hub, stage: str, words: str) -> None:
    space(hub, None, stage)
    with pytest.raises(ServerNotStarted, match=words):
        await asyncio.wait_for(AsyncEnv.from_hub("team/echo"), BOUND_S)


async def test_a_space_that_does_not_wake_up_in_time(hub: Hub) -> None:
    space(hub, "http://127.0.0.1:9", "SLEEPING")
    with pytest.raises(ServerNotStarted, match="not awake within"):
        await asyncio.wait_for(SpaceProvider("team/echo", start_timeout_s=0.2, poll_s=0.01).start(), BOUND_S)


async def test_a_private_space_wants_a_token(hub: Hub) -> None:
    token = hub.store.add_user("team")
    async with asyncio.timeout(BOUND_S), LocalProcessProvider(ECHO) as url:
        space(hub, url, "RUNNING", private=True)
        with pytest.raises(ServerNotStarted, match="token"):
            await AsyncEnv.from_hub("team/echo")
        env = await AsyncEnv.from_hub("team/echo", token=token)
        await env.close()


async def test_a_copy_of_a_space_is_served_here(hub: Hub) -> None:
    space(hub, None, "PAUSED")
    async with asyncio.timeout(BOUND_S):
        env = await AsyncEnv.from_hub("team/echo", use="local")
        async with env:
            await env.reset()
            assert (await env.step({"message": "copied"})).observation["echoed_message"] == "copied"


async def test_an_unknown_space_and_an_unknown_use_are_sentences(hub: Hub) -> None:
    with pytest.raises(ServerNotStarted, match="there is no Space team/nothing"):
        await asyncio.wait_for(AsyncEnv.from_hub("team/nothing"), BOUND_S)
    with pytest.raises(UsageError, match="'space', 'docker' or 'local'"):
        await AsyncEnv.from_hub("team/echo", use="cloud")  # type: ignore[arg-type]
