"""Clients that own their server: how `from_docker_image` and the like may be used, and that nothing is left running."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest
from requirements import requirement
from support.compat_server import Add, PlayClient, Total, World, world
from support.servers import bounded

from openenv_async.compat.client.containers.providers import ContainerProvider, RuntimeProvider
from openenv_async.compat.client.generic_client import GenericEnvClient
from openenv_async.compat.client.sync_client import SyncEnvClient


class Shelf(ContainerProvider):
    """A provider whose containers are servers in a thread of this process; fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.calls: list[Any] = []
        self._stack = contextlib.ExitStack()
        self.served: World | None = None

    def start_container(
        self, image: str = "own", port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any
    ) -> str:
        self.calls.append(("start", image, env_vars))
        self.served = self._stack.enter_context(world(max_concurrent_envs=1))
        if self.failing == "address":
            return "http://127.0.0.1:9"
        return self.served.url

    def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
        self.calls.append("wait")
        if self.failing == "wait":
            raise TimeoutError("it is not ready")

    def stop_container(self) -> None:
        self.calls.append("stop")
        if self.failing == "stop":
            self.failing = ""
            raise RuntimeError("the engine is gone")
        self._stack.close()


STARTED = [("start", "img", None), "wait"]


@requirement("compat-client:own-server")
async def test_awaited() -> None:
    shelf = Shelf()
    env = await PlayClient.from_docker_image("img", provider=shelf, env_vars={"A": "b"})
    assert isinstance(env, PlayClient)
    assert (await env.reset(start=1)).observation == Total(1)
    await env.close()
    assert shelf.calls == [("start", "img", {"A": "b"}), "wait", "stop"]


@requirement("compat-client:own-server")
def test_sync() -> None:
    shelf = Shelf()
    env = PlayClient.from_docker_image("img", provider=shelf).sync()
    assert isinstance(env, SyncEnvClient)
    assert env.reset(start=1).observation == Total(1)
    env.close()
    assert shelf.calls == [*STARTED, "stop"]


@requirement("compat-client:own-server")
def test_used_right_away() -> None:
    shelf = Shelf()
    env: Any = PlayClient.from_docker_image("img", provider=shelf)
    assert shelf.calls == []
    assert "not started" in repr(env)
    assert env.reset(start=1).observation == Total(1)
    assert env.step(Add(2)).observation == Total(3)
    assert env.base_url == shelf.served.url  # type: ignore[union-attr]
    env.close()
    assert shelf.calls == [*STARTED, "stop"]


@requirement("compat-client:own-server")
async def test_used_right_away_inside_a_loop() -> None:
    shelf = Shelf()
    env: Any = PlayClient.from_docker_image("img", provider=shelf)
    assert (await env.reset(start=1)).observation == Total(1)
    assert (await env.step(Add(2))).observation == Total(3)
    await env.close()
    assert shelf.calls == [*STARTED, "stop"]


async def test_read_without_await_inside_a_loop() -> None:
    shelf = Shelf()
    env: Any = PlayClient.from_docker_image("img", provider=shelf)
    assert env.reset(start=1).observation == Total(1)
    assert env.state() == {"so far": 1}
    env.close()
    assert shelf.calls == [*STARTED, "stop"]


async def test_with_and_async_with() -> None:
    shelves = Shelf(), Shelf()
    async with PlayClient.from_docker_image("img", provider=shelves[0]) as env:
        assert (await env.reset(start=1)).observation == Total(1)

    def block() -> None:
        with PlayClient.from_docker_image("img", provider=shelves[1]) as env:
            assert env.reset(start=1).observation == Total(1)

    await asyncio.to_thread(block)
    assert [shelf.calls for shelf in shelves] == [[*STARTED, "stop"]] * 2


def test_run_by_asyncio_and_then_used_in_sync_code() -> None:
    shelf = Shelf()
    env = asyncio.run(PlayClient.from_docker_image("img", provider=shelf))
    assert env.sync().reset(start=1).observation == Total(1)
    env.close()
    assert shelf.calls == [*STARTED, "stop"]


def test_looking_starts_nothing() -> None:
    shelf = Shelf()
    env = PlayClient.from_docker_image("img", provider=shelf)
    for name in ("no_such_method", "_repr_html_", "cr_frame"):
        assert not hasattr(env, name)
    with pytest.warns(RuntimeWarning, match="a PlayClient with a server of its own was made and never used"):
        del env
        gc.collect()
    assert shelf.calls == []


async def test_a_handle_is_good_for_one_server() -> None:
    shelf = Shelf()
    handle = PlayClient.from_docker_image("img", provider=shelf)
    env = await handle
    with pytest.raises(RuntimeError, match="already been resolved"):
        await asyncio.to_thread(handle.sync)
    await env.close()


@pytest.mark.parametrize("failing", ["wait", "address"])
@pytest.mark.parametrize("how", ["await", "sync"])
async def test_a_failed_start_leaves_nothing(failing: str, how: str) -> None:
    shelf = Shelf(failing)
    handle = PlayClient.from_docker_image("img", provider=shelf)
    with pytest.raises(TimeoutError if failing == "wait" else ConnectionError):
        await (handle if how == "await" else asyncio.to_thread(handle.sync))
    assert shelf.calls == [*STARTED, "stop"]


async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    shelf, starting = Shelf(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(Shelf):
        def wait_for_ready(self, base_url: str, timeout_s: float = 30.0) -> None:
            super().wait_for_ready(base_url, timeout_s)
            loop.call_soon_threadsafe(starting.set)

    shelf = Slow()
    task = asyncio.create_task(PlayClient.from_docker_image("img", provider=shelf))
    await bounded(starting.wait())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await (await bounded(task)).close()
    assert shelf.calls == [*STARTED, "stop"]


async def test_a_provider_instead_of_an_address() -> None:
    shelf = Shelf()
    async with PlayClient(provider=shelf) as env:
        assert (await env.reset(start=1)).observation == Total(1)
        assert env.base_url == shelf.served.url  # type: ignore[union-attr]
    assert env.base_url is None
    assert shelf.calls == [("start", "own", None), "wait", "stop"]
    async with env:
        assert (await env.reset(start=2)).observation == Total(2)
    assert shelf.calls[3:] == [("start", "own", None), "wait", "stop"]


async def test_a_provider_that_needs_an_image() -> None:
    class Strict(Shelf):
        def start_container(  # type: ignore[override]
            self, image: str, port: int | None = None, env_vars: dict[str, str] | None = None
        ) -> str:
            return ""

    with pytest.raises(ValueError, match=r"start_container\(\) requires image"):
        await PlayClient(provider=Strict()).connect()
    with pytest.raises(TypeError, match="must define start_container"):
        await PlayClient(provider=object()).connect()


async def test_a_stop_that_fails_is_tried_again() -> None:
    shelf = Shelf("stop")
    env = PlayClient(provider=shelf)
    await env.reset()
    with pytest.raises(RuntimeError, match="the engine is gone"):
        await env.close()
    await env.close()
    assert shelf.calls[2:] == ["stop", "stop"]


async def test_a_provider_of_processes_and_one_of_ours() -> None:
    class Process(RuntimeProvider):
        def __init__(self) -> None:
            self.calls: list[Any] = []
            self._stack = contextlib.ExitStack()

        def start(self, port: int | None = None, env_vars: dict[str, str] | None = None, **kwargs: Any) -> str:
            self.calls.append((port, env_vars, kwargs))
            return self._stack.enter_context(world()).url

        def wait_for_ready(self, timeout_s: float = 30.0) -> None:
            self.calls.append("wait")

        def stop(self) -> None:
            self._stack.close()
            self.calls.append("stop")

    class Ours:
        def __init__(self, url: str) -> None:
            self.url, self.stopped = url, False

        async def start(self) -> str:
            return self.url

        async def stop(self) -> None:
            self.stopped = True

    process = Process()
    handle = GenericEnvClient.from_hub("org/name", use_docker=False, provider=process, port=1, workers=2)
    async with handle as env:
        await env.reset()
    assert process.calls == [(1, None, {"workers": 2}), "wait", "stop"]
    with world() as served:
        ours = Ours(served.url)
        async with GenericEnvClient(provider=ours) as other:
            await other.reset()
        assert ours.stopped


async def test_a_space_is_an_image_of_the_hubs_registry() -> None:
    shelf = Shelf()
    async with PlayClient.from_env("Org/my_env", provider=shelf, tag="v2") as env:
        await env.reset()
    assert shelf.calls[0] == ("start", "registry.hf.space/org-my-env:v2", None)
    with pytest.raises(ValueError, match="provider_kwargs cannot be used"):
        await PlayClient.from_env("org/name", use_docker=False, provider=shelf, app="x")
