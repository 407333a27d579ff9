"""Sockets cut at every place that matters: each call gets its one result, and nothing is played twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cutting import Bench, PlayEnv, bench, step
from requirements import requirement
from support.play_env import PlayAction
from support.servers import bounded, gathered

CHUNK = 2_000
"""Bytes of a chunk in these tests: a value of 30,000 characters travels in many."""

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])
BIG = "x" * 30_000


async def goes_on(env: PlayEnv, total: int) -> None:
    """The session's next step is the one after `total`."""
    assert await bounded(step(env)) == total + 1


@requirement("resume:same-session", "step:exactly-once")
@EXECUTIONS
@pytest.mark.parametrize("passes", [0, 1, 9])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_cut_before_the_request_has_arrived_or_before_its_reply(way: str, passes: int, execution: Any) -> None:
    async with bench(execution) as here:
        env = await here.playing(start=5)
        session = env.session_id
        here.way.cut_after(way, passes)
        assert await bounded(step(env)) == 6
        await goes_on(env, 6)
        assert (env.session_id, here.way.connections) == (session, 2)
        assert (await env.state()).step_count == 2
        await env.close()
    assert (here.journal.count("built"), here.journal.count("closed")) == (1, 1)


@requirement("resume:same-session", "step:exactly-once")
async def test_cut_between_calls() -> None:
    async with bench() as here:
        env = await here.playing()
        for total in range(1, 6):
            assert await bounded(step(env)) == total
            here.way.cut()
            await here.way.until(connections=total + 1)
        await goes_on(env, 5)
        await env.close()
    assert (here.journal.count("built"), here.journal.count("reset")) == (1, 1)


@requirement("resume:same-session", "step:exactly-once")
@EXECUTIONS
async def test_cut_while_the_environment_steps(execution: Any) -> None:
    async with bench(execution) as here:
        env = await here.playing()
        call = asyncio.create_task(step(env, 7, op="wait"))
        await here.journal.until("waiting")
        here.way.cut()
        await here.until_detached()
        here.journal.open_gate("step")
        assert await bounded(call) == 7
        await goes_on(env, 7)
        await env.close()
    assert here.journal.count("waiting") == 1


@requirement("resume:same-session", "resume:kept-outcome")
@EXECUTIONS
async def test_a_call_that_ends_while_nobody_is_there(execution: Any) -> None:
    async with bench(execution) as here:
        env = await here.playing()
        call = asyncio.create_task(step(env, 7, op="wait"))
        await here.journal.until("waiting")
        here.way.refusing = True
        here.way.cut()
        await here.until_detached()
        here.journal.open_gate("step")
        await here.journal.until("went on")
        await here.way.until(refused=here.way.refused + 1)
        here.way.refusing = False
        assert await bounded(call) == 7
        await goes_on(env, 7)
        await env.close()


@requirement("resume:same-session", "step:exactly-once")
@pytest.mark.parametrize("passes", [CHUNK // 2, 5 * CHUNK, 30_000])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_cut_inside_a_chunked_request_and_a_chunked_reply(way: str, passes: int) -> None:
    async with bench(chunk_bytes=CHUNK) as here:
        env = await here.playing()
        here.way.cut_after(way, passes)
        action = PlayAction(op="echo", value=BIG)
        assert (await bounded(env.step(action))).observation.value == BIG
        assert here.way.connections == 2
        assert (await env.state()).step_count == 1
        await goes_on(env, 0)
        await env.close()


@requirement("resume:same-session", "step:exactly-once")
async def test_a_failure_is_given_again_too() -> None:
    from openenv_async.errors import EnvironmentFailed

    async with bench() as here:
        env = await here.playing()
        here.way.cut_after("down", 5)
        with pytest.raises(EnvironmentFailed, match="the pot is empty"):
            await bounded(env.step(PlayAction(op="raise")))
        assert here.way.connections == 2
        assert (await env.state()).step_count == 1
        await env.close()


@requirement("resume:same-session", "resume:kept-outcome")
async def test_a_reset_is_not_done_twice() -> None:
    async with bench() as here:
        env = await here.playing()
        here.way.cut_after("down", 3)
        assert (await bounded(env.reset(start=4))).observation.total == 4
        assert here.journal.count("reset") == 2
        assert here.journal.count("built") == 1
        await env.close()


@requirement("resume:twice")
async def test_cuts_while_the_connection_comes_back() -> None:
    async with bench() as here:
        env = await here.playing()
        call = asyncio.create_task(step(env, 1, op="wait"))
        await here.journal.until("waiting")
        for passes in (0, 40, 150, 250):
            here.way.cut()
            here.way.cut_after("down", passes)
            connections = here.way.connections
            await here.way.until(connections=connections + 2)
        here.journal.open_gate("step")
        assert await bounded(call) == 1
        await goes_on(env, 1)
        await env.close()
    assert (here.journal.count("waiting"), here.journal.count("built")) == (1, 1)


@requirement("resume:same-session")
@EXECUTIONS
async def test_64_sessions_of_one_connection_come_back_together(execution: Any) -> None:
    async with bench(execution) as here:
        envs = [await here.playing(start=100 * me) for me in range(64)]
        sessions = [env.session_id for env in envs]
        for way, passes in (("up", 900), ("down", 1500), ("up", 0), ("down", 0)):
            here.way.cut_after(way, passes)
            assert len(set(await gathered([step(env) for env in envs]))) == 64
        calls = [asyncio.create_task(step(env)) for env in envs]
        await asyncio.sleep(0)
        here.way.cut()
        assert await gathered(calls) == [100 * me + 5 for me in range(64)]
        assert [env.session_id for env in envs] == sessions
        assert here.way.connections == 6
        await gathered([env.close() for env in envs])
    assert here.journal.count("built") == here.journal.count("closed") == 64


async def opening_bytes(here: Bench) -> int:
    """Bytes that the server sends until the first session of a connection is open."""
    before = here.way.passed["down"]
    async with PlayEnv(here.url):
        opened = here.way.passed["down"] - before
    await here.until_empty()
    return opened


@requirement("resume:opening", "slot:freed")
@pytest.mark.parametrize("missing", [1, 30])
async def test_an_opening_whose_answer_is_lost_leaves_no_session_behind(missing: int) -> None:
    async with bench(max_sessions=1, queue_timeout_s=0) as here:
        needed = await opening_bytes(here)
        here.way.cut_after("down", needed - missing)
        env = PlayEnv(here.url)
        await bounded(env.connect())
        assert here.way.connections == 3
        # The only slot: a second session would have been refused.
        assert (here.registry.active, here.journal.count("built")) == (1, 2)
        await env.reset()
        await goes_on(env, 0)
        await env.close()


@requirement("resume:opening")
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("passes", [0, 4])
async def test_a_second_opening_is_cut(way: str, passes: int) -> None:
    async with bench() as here:
        first = await here.playing(start=3)
        here.way.cut_after(way, passes)
        second = await bounded(here.playing(start=8))
        assert await gathered([step(first), step(second)]) == [4, 9]
        assert here.registry.active == 2
        await gathered([first.close(), second.close()])
        await here.until_empty()
    assert here.journal.count("built") == 2


@requirement("resume:same-session")
async def test_closing_while_the_connection_is_away_ends_the_session() -> None:
    async with bench() as here:
        env = await here.playing()
        here.way.refusing = True
        here.way.cut()
        await here.way.until(refused=1)
        closing = asyncio.create_task(env.close())
        await here.way.until(refused=2)
        here.way.refusing = False
        await bounded(closing)
        await here.until_empty()
    assert here.journal.count("closed") == 1


@requirement("resume:same-session")
async def test_a_new_client_connects_anew_while_another_looks_for_the_server() -> None:
    async with bench() as here:
        env = await here.playing(start=1)
        here.way.refusing = True
        here.way.cut()
        await here.way.until(refused=2)
        here.way.refusing = False
        other = await bounded(here.playing(start=5))
        assert await gathered([step(env), step(other)]) == [2, 6]
        await gathered([env.close(), other.close()])


@requirement("resume:same-session", "step:exactly-once")
@pytest.mark.parametrize("way", ["up", "down"])
async def test_the_link_for_tls_and_proxies_comes_back_too(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from openenv_async.client import pool
    from openenv_async.transport.proxy_client import open_proxy_link

    monkeypatch.setattr(pool, "connect_link", open_proxy_link)
    async with bench(chunk_bytes=CHUNK) as here:
        env = await here.playing()
        for n, passes in enumerate((0, 1, 40), 1):
            here.way.cut_after(way, passes)
            assert await bounded(step(env)) == n
        here.way.cut_after(way, 9_000)
        assert (await bounded(env.step(PlayAction(op="echo", value=BIG)))).observation.value == BIG
        assert here.way.connections == 5
        assert (await env.state()).step_count == 4
        await env.close()
