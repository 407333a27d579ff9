"""OpenEnv's client in code that awaits: what its results can be used for, and what happens to those nobody uses."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from requirements import requirement
from support.compat_server import Add, PlayClient, Total, World, world
from support.servers import bounded


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with world(max_concurrent_envs=64) as one:
        yield one


@requirement("compat-client:both-ways")
async def test_calls_can_be_awaited(served: World) -> None:
    async with PlayClient(base_url=served.url) as env:
        assert (await env.reset(start=2)).observation == Total(2)
        assert (await env.step(Add(3))).observation == Total(5)
        assert await env.state() == {"so far": 5}


async def test_a_client_connects_on_its_first_call(served: World) -> None:
    env = PlayClient(served.url)
    assert (await env.reset()).observation == Total(0)
    await env.close()


async def test_calls_are_coroutines_for_whatever_schedules_them(served: World) -> None:
    async with PlayClient(served.url) as env:
        await asyncio.create_task(env.reset())
        assert (await asyncio.wait_for(env.step(Add(1)), 5)).observation == Total(1)
        results = await asyncio.gather(env.step(Add(1)), env.step(Add(1)))
        assert sorted(result.observation.total for result in results) == [2, 3]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(env.state())
        assert task.result() == {"so far": 3}
        assert inspect.isawaitable(call := env.step(Add(1)))
        assert repr(call) == "<PlayClient.step() pending: await it, or read from it>"
        assert (await call).observation == Total(4)
        with pytest.raises(RuntimeError):
            await call


def test_a_loop_of_its_own_for_each_use(served: World) -> None:
    async def main() -> Any:
        env = PlayClient(served.url)
        try:
            return await env.reset(start=1)
        finally:
            await env.close()

    assert asyncio.run(main()).observation == Total(1)


@requirement("compat-client:unawaited")
async def test_a_call_that_nobody_uses_warns_and_does_nothing(served: World) -> None:
    async with PlayClient(served.url) as env:
        await env.reset()
        with pytest.warns(RuntimeWarning, match=r"PlayClient\.step\(\) at .*test_sync_async\.py:\d+ was never"):
            env.step(Add(100))
            gc.collect()
        assert await env.state() == {"so far": 0}


async def test_looking_at_a_call_does_not_make_it(served: World) -> None:
    env = PlayClient(served.url)
    call = env.reset()
    for name in ("cr_frame", "gi_running", "_repr_html_", "__len_hint__", "_ipython_canary_method_should_not_exist_"):
        assert not hasattr(call, name)
    assert env._ws is None
    call.close()


async def test_a_client_is_for_one_kind_of_code(served: World) -> None:
    async with PlayClient(served.url) as env:
        await env.reset()
        with pytest.raises(RuntimeError, match="already being used in async mode"):
            env.sync().step(Add(1))
        with pytest.raises(RuntimeError, match="already being used in async mode"):
            env.step(Add(1)).observation  # noqa: B018 - reading is what is refused
        assert (await env.step(Add(1))).observation == Total(1)


@requirement("compat-client:cancelled")
async def test_after_a_cancelled_step_nothing_goes_on_silently() -> None:
    with world(max_concurrent_envs=1) as served:
        async with PlayClient(served.url) as env:
            await env.reset(start=5)
            step = asyncio.create_task(env.step(Add(1, "wait")))
            await served.journal.until("waiting")
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            with pytest.raises(ConnectionError, match=r"cancelled.*call reset\(\)"):
                await env.step(Add(1))
            assert (await bounded(env.reset(start=1))).observation == Total(1)
            assert (await env.step(Add(1))).observation == Total(2)


async def test_an_outer_deadline_is_kept(served: World) -> None:
    async with PlayClient(served.url) as env:
        await env.reset()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(env.step(Add(1, "wait")), 0.05)
        assert (await bounded(env.reset(start=3))).observation == Total(3)


async def test_many_clients_at_once(served: World) -> None:
    async def play(n: int) -> int:
        async with PlayClient(served.url) as env:
            await env.reset(start=n)
            totals: list[int] = [(await env.step(Add(1))).observation.total for _ in range(5)]
            return totals[-1]

    assert await bounded(asyncio.gather(*(play(n) for n in range(48)))) == [n + 5 for n in range(48)]


async def test_concurrent_connects_open_one_connection(served: World) -> None:
    env = PlayClient(served.url)
    before = len(served.door.seen)
    await asyncio.gather(*(env.connect() for _ in range(5)))
    assert len(served.door.seen) == before + 1
    await env.close()


async def test_new_session(served: World) -> None:
    async with PlayClient(served.url) as env:
        await env.reset(start=1)
        other = await env.new_session()
        assert (await other.reset(start=5)).observation == Total(5)
        assert (await env.step(Add(1))).observation == Total(2)
    assert other._ws is None
