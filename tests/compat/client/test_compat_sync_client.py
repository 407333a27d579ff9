"""OpenEnv's client in code that does not await: plain calls, `.sync()`, `with`, notebooks, threads, forks, the exit."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from requirements import requirement
from support.compat_server import Add, PlayClient, Total, World, world
from support.servers import BOUND_S

from openenv_async.compat.client.client_types import StepResult
from openenv_async.compat.client.generic_client import GenericAction, GenericEnvClient
from openenv_async.compat.client.sync_client import SyncEnvClient


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with world(max_concurrent_envs=64) as one:
        yield one


@requirement("compat-client:both-ways")
def test_plain_calls_give_plain_results(served: World) -> None:
    env = PlayClient(served.url)
    first = env.reset(start=3)
    assert first == StepResult(Total(3), None, False, None)
    assert type(first) is StepResult
    assert env.step(Add(2)) == StepResult(Total(5), 2.0)
    assert env.state() == {"so far": 5}
    assert env.close() is None


def test_the_sync_front_gives_the_same(served: World) -> None:
    client = PlayClient(base_url=served.url)
    with client.sync() as env:
        assert isinstance(env, SyncEnvClient)
        assert env is client.sync()
        assert env.async_client is client
        assert env.reset(start=1).observation == Total(1)
        assert env.step(Add(4)).reward == 4.0
        assert env.state() == {"so far": 5}
        assert (env.base_url, env._ws_url) == (served.url, served.url.replace("http", "ws") + "/ws")


def test_with_needs_no_sync(served: World) -> None:
    with PlayClient(served.url) as env:
        assert isinstance(env, PlayClient)
        assert env.reset().observation == Total(0)


@requirement("compat-client:slot")
def test_a_slot_is_free_when_close_returns() -> None:
    with world(max_concurrent_envs=1) as served:
        for _ in range(5):
            env = PlayClient(served.url)
            env.reset()
            env.close()
        assert (served.journal.count("built"), served.journal.count("closed")) == (5, 5)


def test_a_closed_client_can_be_used_again(served: World) -> None:
    env = PlayClient(served.url)
    with env:
        env.reset(start=1)
    with env:
        assert env.reset(start=2).observation == Total(2)


def test_coroutine_functions_of_a_subclass_block_behind_the_sync_front(served: World) -> None:
    class Twice(PlayClient):
        async def twice(self, n: int) -> int:
            await self.step(Add(n))
            return int((await self.step(Add(n))).observation.total)

    with Twice(served.url).sync() as env:
        env.reset()
        assert env.twice(4) == 8


async def test_inside_an_event_loop_a_read_result_is_fetched(served: World) -> None:
    env = PlayClient(served.url)
    result = env.reset(start=7)  # as a notebook's cell would, without await
    assert result.observation == Total(7)
    assert env.step(Add(1)).observation == Total(8)
    assert env.state()["so far"] == 8
    env.close()


async def test_the_sync_front_blocks_inside_an_event_loop(served: World) -> None:
    with GenericEnvClient(served.url).sync() as env:
        assert env.reset(start=2).observation["total"] == 2
        assert env.step(GenericAction(op="add", n=1)).observation["total"] == 3


def test_threads_each_with_a_client(served: World) -> None:
    def play(n: int) -> int:
        with PlayClient(served.url).sync() as env:
            env.reset()
            return [env.step(Add(n)).observation.total for _ in range(10)][-1]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(play, range(16))) == [10 * n for n in range(16)]


def test_threads_that_share_a_client_take_turns(served: World) -> None:
    with PlayClient(served.url).sync() as env, ThreadPoolExecutor(8) as pool:
        env.reset()
        totals = list(pool.map(lambda _: env.step(Add(1)).observation.total, range(40)))
    assert sorted(totals) == list(range(1, 41))


def test_new_sessions_close_with_their_parent() -> None:
    with world(max_concurrent_envs=3) as served:
        env = PlayClient(served.url, message_timeout_s=7.0).sync()
        env.reset(start=1)
        other = env.new_session()
        assert isinstance(other, SyncEnvClient)
        assert isinstance(other.async_client, PlayClient)
        assert other.async_client._message_timeout == 7.0
        assert other.reset(start=9).observation == Total(9)
        assert env.step(Add(1)).observation == Total(2)
        env.close()
        assert served.journal.count("closed") == 2


def test_a_client_of_an_ended_loop_goes_on_in_sync_code_after_a_reset(served: World) -> None:
    async def begin() -> PlayClient:
        client = await PlayClient(served.url).connect()
        await client.reset(start=5)
        assert isinstance(client, PlayClient)
        return client

    env = asyncio.run(begin())
    with pytest.raises(ConnectionError, match="call reset"):
        env.step(Add(1))
    gc.collect()
    assert env.sync().reset(start=6).observation == Total(6)
    assert env.step(Add(1)).observation == Total(7)
    env.close()


@requirement("compat-client:unclosed")
@pytest.mark.parametrize("front", [False, True])
def test_an_unclosed_client_warns_and_frees_its_slot(front: bool) -> None:
    with world(max_concurrent_envs=1) as served:
        env: Any = PlayClient(served.url).sync() if front else PlayClient(served.url)
        env.reset()
        with pytest.warns(ResourceWarning, match="unclosed PlayClient"):
            del env
        served.until("closed")


def test_an_interrupted_call_leaves_a_client_that_a_reset_makes_good() -> None:
    with world() as served, PlayClient(served.url) as env:
        env.reset()

        def interrupt() -> None:
            served.until("waiting")
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            env.step(Add(1, "wait"))
        thread.join(BOUND_S)
        with pytest.raises(ConnectionError, match=r"call reset\(\)"):
            env.step(Add(1))
        assert env.reset(start=4).observation == Total(4)


def test_a_client_that_is_not_connected_can_be_copied_and_sent_to_another_process() -> None:
    env = GenericEnvClient("http://h:1", headers={"a": "b"}, message_timeout_s=7)
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (other.base_url, other._headers, other._message_timeout, other._mode) == (
            *("http://h:1", {"a": "b"}, 7),
            "simulation",
        )


def run_script(script: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), url],
        capture_output=True,
        text=True,
        timeout=4 * BOUND_S,
    )


def test_the_exit_closes_what_nobody_did() -> None:
    with world(max_concurrent_envs=1) as served:
        done = run_script(
            """
            import sys
            from openenv_async.compat.client.generic_client import GenericEnvClient
            env = GenericEnvClient(sys.argv[1])
            env.reset()
            """,
            served.url,
        )
        assert done.returncode == 0, done.stderr
        served.until("closed")


def test_a_forked_child_gets_a_session_of_its_own_and_leaves_the_parents_alone(served: World) -> None:
    done = run_script(
        """
        import os, sys
        from openenv_async.compat.client.generic_client import GenericEnvClient
        env = GenericEnvClient(sys.argv[1])
        env.reset(start=1)
        child = os.fork()
        if child == 0:
            try:
                env.step({"n": 1})
            except ConnectionError:
                total = env.reset(start=10).observation["total"]
                total = env.step({"n": 1}).observation["total"]
                env.close()
                os._exit(total)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
        assert env.step({"n": 1}).observation["total"] == 2
        env.close()
        """,
        served.url,
    )
    assert done.returncode == 0, done.stderr


def test_the_client_alone_imports_no_server_and_no_pydantic() -> None:
    code = """
        import sys
        import openenv_async.compat
        openenv_async.compat.install()
        from openenv.core import EnvClient, GenericEnvClient, SyncEnvClient
        from openenv.core.client_types import StepResult
        heavy = {"starlette", "fastapi", "pydantic", "hypercorn", "aiodocker", "httpx"} & set(sys.modules)
        assert not heavy, heavy
    """
    done = run_script(code, "")
    assert done.returncode == 0, done.stderr
