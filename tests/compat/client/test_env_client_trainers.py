"""Ways in which public trainers drive OpenEnv's client, written anew: wrappers, retries, pools, cells, time limits."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from support.compat_server import Add, PlayClient, Total, World, world
from support.servers import BOUND_S

from openenv_async.compat.client.generic_client import GenericEnvClient


@pytest.fixture
def served() -> Iterator[World]:
    with world(max_concurrent_envs=16) as one:
        yield one


class Scheduler:
    """Holds a sync client for many episodes, enters it by hand, and makes a new one when a call fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self.failures: list[type[Exception]] = []

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        for _ in range(3):
            try:
                if self._client is None:
                    self._client = GenericEnvClient(base_url=self._url).sync()
                    self._client.__enter__()
                return getattr(self._client, name)(*args, **kwargs)
            except Exception as exc:
                self.failures.append(type(exc))
                self.close()
        raise AssertionError(f"{name} failed three times: {self.failures}")

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.__exit__(None, None, None)


def test_a_scheduler_that_retries_outlives_its_server(served: World) -> None:
    with world() as first:
        port = int(first.url.rpartition(":")[2])
        scheduler = Scheduler(first.url)
        assert scheduler.call("reset", start=1).observation["total"] == 1
        assert scheduler.call("step", {"n": 1}).reward == 1.0
    with world(port=port):
        assert scheduler.call("step", {"n": 5}).observation["total"] == 5
        assert scheduler.failures == [ConnectionError]
        scheduler.close()


def test_an_environment_for_each_rollout_of_a_batch(served: World) -> None:
    class Rollout:
        """What a trainer's factory makes: a client of its own, reset for every episode."""

        def __init__(self) -> None:
            self.client = PlayClient(base_url=served.url).sync()
            self.reward = 0.0

        def reset(self, **kwargs: Any) -> str:
            self.reward = 0.0
            return str(self.client.reset(**kwargs).observation.total)

        def guess(self, n: int) -> str:
            result = self.client.step(Add(n))
            self.reward += result.reward or 0.0
            return str(result.observation.total)

    rollouts = [Rollout() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for batch in range(3):
            assert list(pool.map(lambda rollout: rollout.reset(start=1), rollouts)) == ["1"] * 8
            assert list(pool.map(Rollout.guess, rollouts, [batch] * 8)) == [str(1 + batch)] * 8
    assert [rollout.reward for rollout in rollouts] == [2.0] * 8
    for rollout in rollouts:
        rollout.client.close()


async def test_a_pool_that_asks_whether_its_connections_live() -> None:
    with world(max_concurrent_envs=8) as served:
        envs = [await PlayClient(base_url=served.url).connect() for _ in range(4)]
        await asyncio.gather(*(asyncio.wait_for(env.reset(start=n), 5) for n, env in enumerate(envs)))
        for number in (1, 3):
            await envs[number]._ws.close()

        async def check(number: int) -> bool:
            try:
                await asyncio.wait_for(envs[number]._send_and_receive({"type": "state"}), timeout=5)
            except Exception:
                await envs[number].close()
                envs[number] = PlayClient(base_url=served.url)
                await envs[number].connect()
                envs[number]._ws.ping_timeout = 300
                return False
            return True

        assert await asyncio.gather(*(check(number) for number in range(4))) == [True, False, True, False]
        await asyncio.gather(*(env.reset(start=9) for env in envs))
        tasks = {asyncio.create_task(asyncio.wait_for(env.step(Add(1)), timeout=5)): env for env in envs}
        done, pending = await asyncio.wait(tasks, timeout=BOUND_S)
        assert not pending
        assert [task.result().observation for task in done] == [Total(10)] * 4
        await asyncio.gather(*(env.close() for env in envs))


async def test_cells_of_a_notebook(served: World) -> None:
    env = PlayClient(base_url=served.url)
    result = env.reset(start=2)
    while not result.done:
        result = env.step(Add(3, "end" if result.observation.total > 5 else "add"))
    assert result.observation == Total(11)
    assert env.state()["so far"] == 11
    env.close()


def test_a_time_limit_by_a_signal(served: World) -> None:
    def expire(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the strategy took too long")

    env = PlayClient(base_url=served.url)
    env.reset()
    before = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError, match="the strategy took too long"):
            env.step(Add(1, "wait"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert env.reset(start=7).observation == Total(7)
    assert env.step(Add(1)).observation == Total(8)
    env.close()


def test_a_loop_of_ones_own_that_runs_call_by_call(served: World) -> None:
    async def call(method: Any, *args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    env = PlayClient(base_url=served.url)
    with asyncio.Runner() as runner:
        assert runner.run(call(env.reset, start=1)).observation == Total(1)
        assert runner.run(call(env.step, Add(1))).observation == Total(2)
        runner.run(call(env.close))
