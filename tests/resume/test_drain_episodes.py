"""A server that is being replaced: episodes are played to their end, new ones begin on its successor."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cutting import PlayEnv, bench, step
from processes import server_process
from requirements import requirement
from support.play_env import Execution, PlayAction, play_app
from support.raw_clients import RawNative, raw_client
from support.servers import BOUND_S, Journal, Served, bounded, gathered, serving

from openenv_async import Limits
from openenv_async.errors import ServerClosing, SessionLost
from openenv_async.protocol.frames import Draining
from openenv_async.server.app import EnvApp

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


@contextlib.asynccontextmanager
async def retiring(
    execution: Execution = "inline", grace_s: float = BOUND_S, **limits: Any
) -> AsyncIterator[tuple[Served, EnvApp, Journal, asyncio.Event]]:
    """A server that begins to drain when the event is set."""
    journal = Journal()
    app = play_app(journal, execution, limits=Limits(**limits))
    begin = asyncio.Event()

    async def retire() -> None:
        await begin.wait()
        await app.server.retire(grace_s)

    async with serving(app) as served:
        retire_task = asyncio.create_task(retire())
        yield served, app, journal, begin
        begin.set()
        await bounded(retire_task)


async def told(env: PlayEnv) -> None:
    """Return when the server has told this client that it is draining."""
    async with asyncio.timeout(BOUND_S):
        while env._channel is None or not env._channel.retiring:  # noqa: ASYNC110 - nothing is called for it
            await asyncio.sleep(0)


@requirement("drain:episodes", "close:server-stops")
@EXECUTIONS
async def test_an_episode_is_played_to_its_end(execution: Any) -> None:
    async with retiring(execution) as (served, app, journal, begin):
        env = await PlayEnv.connect(served.url)
        await env.reset(start=1)
        begin.set()
        await told(env)
        for total in range(2, 30):
            assert await bounded(step(env)) == total
        assert (await env.state()).step_count == 28
        assert journal.count("closed") == 0
        await bounded(env.close())
        assert (journal.count("closed"), app.server.registry.active) == (1, 0)


@requirement("drain:episodes")
@EXECUTIONS
async def test_a_call_in_flight_and_the_rest_of_its_episode(execution: Any) -> None:
    async with retiring(execution) as (served, _, journal, begin):
        env = await PlayEnv.connect(served.url)
        await env.reset()
        call = asyncio.create_task(step(env, 2, op="wait"))
        await journal.until("waiting")
        begin.set()
        await told(env)
        journal.open_gate("step")
        assert await bounded(call) == 2
        assert await bounded(step(env)) == 3
        await env.close()


@requirement("drain:idle", "slot:freed")
async def test_sessions_without_an_episode_end_at_once_and_idle_ones_soon() -> None:
    async with retiring(drain_idle_s=0.3) as (served, _, journal, begin):
        unplayed, idle, playing = [await PlayEnv.connect(served.url) for _ in range(3)]
        await idle.reset()
        await playing.reset()
        loop = asyncio.get_running_loop()
        begin.set()
        began = loop.time()
        await journal.until("closed")
        assert journal.count("closed") == 1
        while journal.count("closed") == 1:
            await step(playing)
        assert 0.25 < loop.time() - began
        with pytest.raises(SessionLost, match="the server is stopping"):
            await bounded(step(idle))
        await step(playing)
        await gathered([env.close() for env in (unplayed, idle, playing)])


@requirement("drain:idle", "close:once")
async def test_sessions_whose_client_is_away_end_at_once() -> None:
    async with bench() as here:
        env = await here.playing()
        here.way.refusing = True
        here.way.cut()
        await here.until_detached()
        await bounded(here.app.server.retire(10 * BOUND_S))
        assert here.journal.count("closed") == 1
        await env.close()


@requirement("drain:episodes")
async def test_the_time_of_a_drain_is_bounded_whatever_clients_do() -> None:
    async with retiring(grace_s=0.3) as (served, app, journal, begin):
        env = await PlayEnv.connect(served.url)
        await env.reset()
        begin.set()
        with pytest.raises(SessionLost):
            while True:
                await bounded(step(env))
        await journal.until("closed")
        assert app.server.registry.active == 0
        await env.close()


@requirement("drain:episodes")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_a_reset_is_refused_by_a_server_that_drains(wire: str) -> None:
    async with retiring() as (served, app, journal, begin):
        async with raw_client(wire, served.url) as client:
            await client.reset()
            begin.set()
            async with asyncio.timeout(BOUND_S):
                while not app.server.registry.closing:  # noqa: ASYNC110 - this wire does not say
                    await asyncio.sleep(0)
            if isinstance(client, RawNative):
                assert isinstance(await client.hear(), Draining)
            for total in (1, 2):
                assert (await client.step(n=1)).total == total
            refused = await client.reset()
            assert refused.code == "SERVER_CLOSING"
            await journal.until("closed")


async def play_episodes(env: PlayEnv, stop: asyncio.Event, totals: list[int]) -> None:
    """Play short episodes until told to stop; every call must do."""
    while not stop.is_set():
        start = len(totals)
        assert (await env.reset(start=start)).observation.total == start
        for n in range(1, 8):
            assert await step(env) == start + n
        totals.append(start + 7)


@requirement("drain:no-call-fails")
async def test_a_rolling_restart_fails_no_call() -> None:
    old, new = play_app(Journal(), limits=Limits(drain_idle_s=5)), play_app(Journal())
    stop, totals = asyncio.Event(), [[] for _ in range(40)]  # type: ignore[var-annotated]
    async with serving(old) as first:
        envs = [PlayEnv(first.url) for _ in totals]
        await gathered([env.connect() for env in envs])
        playing = [asyncio.create_task(play_episodes(env, stop, each)) for env, each in zip(envs, totals, strict=True)]
        await asyncio.sleep(0.1)
        await bounded(old.server.retire(10))
        assert old.server.registry.active == 0
    async with serving(new, ("127.0.0.1", first.port)):
        so_far = [len(each) for each in totals]
        async with asyncio.timeout(BOUND_S):
            while any(len(each) < before + 3 for each, before in zip(totals, so_far, strict=True)):
                await asyncio.sleep(0.01)
                for task in playing:
                    if task.done():
                        task.result()
        stop.set()
        await gathered(playing)
        await gathered([env.close() for env in envs])


@requirement("drain:no-call-fails")
async def test_clients_that_come_meanwhile_wait_for_the_successor() -> None:
    old, new = play_app(Journal()), play_app(Journal())
    async with serving(old) as first:
        env = await PlayEnv.connect(first.url)
        await env.reset()
        await bounded(old.server.retire(0.2))
        coming = asyncio.create_task(PlayEnv.connect(first.url))
        resetting = asyncio.create_task(env.reset(start=5))
        await asyncio.sleep(0.2)
        assert not coming.done() and not resetting.done()
    async with serving(new, ("127.0.0.1", first.port)):
        other = await bounded(coming)
        assert (await bounded(resetting)).observation.total == 5
        await other.reset()
        assert await gathered([step(env), step(other)]) == [6, 1]
        await gathered([env.close(), other.close()])


async def test_a_server_that_only_closes_is_not_waited_for_in_vain() -> None:
    app = play_app(Journal())
    async with serving(app) as served:
        await bounded(app.server.drain(0))
        with pytest.raises(ServerClosing, match="stopping"):
            await bounded(PlayEnv.connect(served.url, connect_timeout_s=0.3))


@requirement("drain:episodes", "drain:no-call-fails")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_sigterm_lets_episodes_end_and_the_next_process_takes_over() -> None:
    stop, totals = asyncio.Event(), [[] for _ in range(10)]  # type: ignore[var-annotated]
    async with server_process() as (process, port):
        envs = [PlayEnv(f"http://127.0.0.1:{port}", connect_timeout_s=BOUND_S) for _ in totals]
        await gathered([env.connect() for env in envs])
        long = await PlayEnv.connect(f"http://127.0.0.1:{port}")
        await long.reset()
        playing = [asyncio.create_task(play_episodes(env, stop, each)) for env, each in zip(envs, totals, strict=True)]
        await step(long)
        process.send_signal(signal.SIGTERM)
        await told(long)
        for total in range(2, 40):
            assert await bounded(step(long)) == total
        assert process.returncode is None
        await long.close()
        assert await bounded(process.wait()) == 0
        async with server_process(port):
            so_far = [len(each) for each in totals]
            async with asyncio.timeout(BOUND_S):
                while any(len(each) <= before for each, before in zip(totals, so_far, strict=True)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            stop.set()
            await gathered(playing)
            await gathered([env.close() for env in envs])


@requirement("session:fails-loudly")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_ctrl_c_waits_for_calls_only() -> None:
    async with server_process() as (process, port):
        env = await PlayEnv.connect(f"http://127.0.0.1:{port}", connect_timeout_s=0.5)
        await env.reset()
        await env.step(PlayAction(n=1))
        process.send_signal(signal.SIGINT)
        assert await bounded(process.wait(), 5) == 0
        with pytest.raises(SessionLost):
            await bounded(step(env))
        await env.close()
