"""Cancelling a call: the session can be used, or says that it cannot; no late answer goes to another request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from requirements import requirement
from support.play_env import Execution, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded, gathered, serving

from openenv_async import AsyncEnv

WIRES = pytest.mark.parametrize("wire", ["native", "json"])
EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bounded(task)


@requirement("client:cancelled-call", "step:no-mispairing", "step:exactly-once")
@WIRES
@EXECUTIONS
async def test_a_step_cancelled_while_the_environment_is_in_it(wire: Any, execution: Execution) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution)) as served, PlayEnv(served.url, wire=wire) as env:
        await env.reset()
        step = asyncio.create_task(env.step(PlayAction(op="wait", n=100)))
        await journal.until("waiting")
        await cancelled(step)
        following = asyncio.create_task(env.step(PlayAction(n=1)))
        await asyncio.wait([following], timeout=0)
        journal.open_gate("step")
        result = await bounded(following)
        # On the native wire the server stops what can be stopped; elsewhere the step runs to its end, once.
        stopped = wire == "native" and execution == "inline"
        assert (result.reward, result.observation.total) == (1.0, 1 if stopped else 101)
        assert journal.count("went on") == (0 if stopped else 1)
        state = await env.state()
        assert (state.total, state.step_count) == (result.observation.total, 1 if stopped else 2)


@requirement("client:cancelled-call", "step:no-mispairing")
@WIRES
async def test_a_reset_and_a_state_cancelled_at_any_moment(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served, PlayEnv(served.url, wire=wire) as env:
        await env.reset()
        for turns in range(12):
            for call in (env.reset(start=500), env.state(), env.step(PlayAction(op="echo", value="stale"))):
                task: asyncio.Task[Any] = asyncio.create_task(call)
                for _ in range(turns):
                    await asyncio.wait([task], timeout=0)
                task.cancel()
                await bounded(asyncio.wait([task]))
            result = await bounded(env.step(PlayAction(op="echo", value=turns)))
            assert result.observation.value == turns
            state = await bounded(env.state())
            assert isinstance(state, PlayState)


@requirement("client:cancelled-call", "step:no-mispairing")
@WIRES
@EXECUTIONS
async def test_many_sessions_each_cancel_and_go_on(wire: Any, execution: Execution) -> None:
    async def play(env: PlayEnv, me: int) -> None:
        await env.reset(start=1000 * me)
        for turn in range(4):
            task = asyncio.create_task(env.step(PlayAction(op="echo", value=["stale", me])))
            for _ in range((me + turn) % 7):
                await asyncio.wait([task], timeout=0)
            task.cancel()
            await asyncio.wait([task])
            result = await env.step(PlayAction(op="echo", value=[me, turn]))
            assert result.observation.value == [me, turn]
            assert result.observation.total == 1000 * me

    async with serving(play_app(Journal(), execution)) as served:
        envs = await gathered([PlayEnv.connect(served.url, wire=wire) for _ in range(24)])
        await gathered([play(env, me) for me, env in enumerate(envs)])
        await gathered([env.close() for env in envs])


@requirement("client:cancelled-call")
@WIRES
async def test_connecting_cancelled_at_any_moment_leaves_nothing_behind(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=1)) as served:
        for turns in range(16):
            env = PlayEnv(served.url, wire=wire)
            task = asyncio.ensure_future(env.connect())
            for _ in range(turns):
                await asyncio.wait([task], timeout=0)
            task.cancel()
            await bounded(asyncio.wait([task]))
            await env.close()
        async with PlayEnv(served.url) as last:  # waits for the only slot
            assert (await last.reset()).observation.total == 0
    assert journal.count("built") == journal.count("closed")
    names = {"openenv client reader", "openenv client writer", "openenv client json reader"}
    left = [task for task in asyncio.all_tasks() if task.get_name() in names]
    if left:
        await bounded(asyncio.wait(left))


@requirement("client:cancelled-call")
@WIRES
async def test_a_cancelled_connect_can_be_repeated(wire: Any) -> None:
    async with serving(play_app(Journal())) as served:
        env = PlayEnv(served.url, wire=wire)
        task = asyncio.ensure_future(env.connect())
        await asyncio.wait([task], timeout=0)
        await cancelled(task)
        await env.connect()
        assert (await env.reset()).observation.total == 0
        await env.close()


@requirement("client:cancelled-call")
async def test_cancelling_who_waits_for_a_slot_leaves_the_queue() -> None:
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=1)) as served:
        async with PlayEnv(served.url) as holder:
            await holder.reset()
            waiting = [PlayEnv(served.url) for _ in range(3)]
            tasks = [asyncio.ensure_future(env.connect()) for env in waiting]
            await holder.state()  # answered behind the requests to open
            for task in tasks[:2]:
                task.cancel()
            await bounded(asyncio.wait(tasks[:2]))
        await bounded(asyncio.wait(tasks))
        assert (await tasks[2].result().reset()).observation.total == 0
        for env in waiting:
            await env.close()
    assert (journal.count("built"), journal.count("closed")) == (2, 2)


class Stubborn:
    """Goes on when it is cancelled."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.count = 0

    async def reset(self) -> dict[str, Any]:
        return {"count": self.count}

    async def step(self, action: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        if action.get("wait"):
            self.journal.note("waiting")
            try:
                await self.journal.async_gate("step").wait()
            except asyncio.CancelledError:
                self.journal.note("swallowed")
        return {"count": self.count}

    async def close(self) -> None:
        self.journal.note("closed")


@requirement("client:cancelled-call", "close:once")
async def test_an_environment_that_swallows_cancellations_keeps_its_session() -> None:
    from openenv_async import create_app

    journal = Journal()
    app = create_app(lambda: Stubborn(journal), dict, dict)
    async with serving(app) as served, AsyncEnv[Any, Any, Any](served.url) as env:
        await env.reset()
        for times in (1, 2, 3):
            step = asyncio.create_task(env.step({"wait": True}))
            await journal.until("waiting", times)
            await cancelled(step)
            await journal.until("swallowed", times)
        assert (await bounded(env.step({}))).observation == {"count": 4}
    assert journal.count("closed") == 1
