"""What callers notice while the connection is away: deadlines, cancellation, callbacks, servers that do not return."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import pytest
from cutting import PlayEnv, bench, step
from requirements import requirement
from support import PROGRAMS
from support.play_env import PlayAction, play_app
from support.servers import Journal, bounded, gathered, serving

from openenv_async import AsyncEnv
from openenv_async.errors import ConnectFailed, SessionLost, StepTimeout
from openenv_async.server.runner import ServeOptions

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])
SOON_S = 0.05


@requirement("resume:meanwhile")
@EXECUTIONS
async def test_a_call_cancelled_while_the_connection_is_away_is_stopped_once_it_is_back(execution: Any) -> None:
    async with bench(execution) as here:
        env = await here.playing()
        call = asyncio.create_task(step(env, 3, op="wait"))
        await here.journal.until("waiting")
        here.way.refusing = True
        here.way.cut()
        await here.way.until(refused=1)
        call.cancel()
        await bounded(asyncio.wait([call]))
        assert call.cancelled()
        here.way.refusing = False
        if execution == "thread":
            # A thread cannot be stopped: its step counts, and the next one waits for it.
            here.journal.open_gate("step")
        assert await bounded(step(env)) == (4 if execution == "thread" else 1)
        assert here.journal.count("went on") == (1 if execution == "thread" else 0)
        await env.close()


@requirement("resume:meanwhile", "step:no-mispairing")
@EXECUTIONS
async def test_a_call_that_times_out_while_the_connection_is_away_leaves_the_session_usable(execution: Any) -> None:
    async with bench(execution) as here:
        env = await here.playing(message_timeout_s=0.3)
        call = asyncio.create_task(step(env, 3, op="wait"))
        await here.journal.until("waiting")
        here.way.refusing = True
        here.way.cut()
        with pytest.raises(StepTimeout) as timeout:
            await bounded(call)
        assert timeout.value.session_usable is True
        assert env.connected
        here.way.refusing = False
        here.journal.open_gate("step")
        following = await bounded(env.step(PlayAction(n=1), timeout_s=10))
        assert following.observation.total in ((4,) if execution == "thread" else (1, 4))
        await env.close()
    assert here.journal.count("built") == 1


@requirement("resume:meanwhile")
async def test_deadlines_of_calls_made_while_the_connection_is_away_hold() -> None:
    async with bench() as here:
        env = await here.playing()
        here.way.refusing = True
        here.way.cut()
        await here.way.until(refused=1)
        with pytest.raises(StepTimeout, match="no answer within") as timeout:
            await bounded(env.step(PlayAction(n=1), timeout_s=SOON_S))
        assert timeout.value.session_usable is True
        here.way.refusing = False
        # The server never had it: it was cancelled before it was sent.
        assert await bounded(step(env)) == 1
        await env.close()


@requirement("resume:meanwhile")
async def test_calls_made_while_the_connection_is_away_wait_for_it() -> None:
    async with bench() as here:
        envs = [await here.playing(start=10 * me) for me in range(5)]
        here.way.refusing = True
        here.way.cut()
        await here.way.until(refused=1)
        calls = [asyncio.create_task(step(env)) for env in envs]
        await here.way.until(refused=3)
        here.way.refusing = False
        assert await gathered(calls) == [1, 11, 21, 31, 41]
        await gathered([env.close() for env in envs])


@requirement("resume:callback")
async def test_on_reconnect_is_called_after_each_resumption(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as here:
        env, other = await here.playing(), await here.playing()
        assert env.on_reconnect is None
        told: asyncio.Queue[PlayEnv] = asyncio.Queue()
        waited: asyncio.Queue[PlayEnv] = asyncio.Queue()

        async def slowly(who: PlayEnv) -> None:
            await asyncio.sleep(0)
            await waited.put(who)
            raise LookupError("from the coroutine")

        env.on_reconnect, other.on_reconnect = told.put_nowait, slowly
        for _ in range(3):
            here.way.cut()
            assert await bounded(told.get()) is env
            assert await bounded(waited.get()) is other
        assert told.empty() and waited.empty()

        def fails(who: PlayEnv) -> None:
            told.put_nowait(who)
            raise LookupError("from the function")

        env.on_reconnect, other.on_reconnect = fails, None
        with caplog.at_level(logging.ERROR, "openenv_async"):
            here.way.cut()
            await bounded(told.get())
            assert await gathered([step(env), step(other)]) == [1, 1]
        assert "from the function" in caplog.text
        assert "from the coroutine" in caplog.text
        await gathered([env.close(), other.close()])


@requirement("resume:callback")
async def test_a_call_in_the_callback_waits_its_turn() -> None:
    async with bench() as here:
        env = await here.playing()
        states: asyncio.Queue[int] = asyncio.Queue()

        async def look(who: PlayEnv) -> None:
            states.put_nowait((await who.state()).total)

        env.on_reconnect = look
        assert await step(env, 4) == 4
        here.way.cut()
        assert await bounded(states.get()) == 4
        await env.close()


@requirement("resume:restarted-server", "session:fails-loudly", "client:reset-reopens")
async def test_a_server_that_was_started_anew_has_no_sessions_of_the_old_one() -> None:
    journal = Journal()
    async with bench() as here:
        envs = [await here.playing(start=me) for me in range(8)]
        sessions = {env.session_id for env in envs}
        async with serving(play_app(journal)) as second:
            # As if the process had been killed: nothing was said, and another one answers at the address.
            here.way.target = second.port
            here.way.cut()
            results = await bounded(asyncio.gather(*(step(env) for env in envs), return_exceptions=True))
            for result in results:
                assert isinstance(result, SessionLost)
                assert "started anew" in str(result) and "call reset() for a new session" in str(result)
            for env in envs:
                with pytest.raises(SessionLost):
                    await bounded(env.state())
            assert journal.count("built") == 0
            assert [(await bounded(env.reset(start=3))).observation.total for env in envs] == [3] * 8
            assert not sessions & {env.session_id for env in envs}
            assert await gathered([step(env) for env in envs]) == [4] * 8
            await gathered([env.close() for env in envs])


@requirement("session:fails-loudly")
async def test_a_server_that_stops_in_good_order_has_no_session_to_wait_for() -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served:
        env = await PlayEnv.connect(served.url, connect_timeout_s=0.3)
        await env.reset()
        await served.stop()
        with pytest.raises(SessionLost, match="the server is stopping"):
            await bounded(step(env))
        with pytest.raises(ConnectFailed):
            await bounded(env.reset())  # which waits a little for a successor
        await env.close()


@requirement("resume:same-session")
@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_a_close_by_somebody_between_is_no_goodbye_of_the_server(code: int) -> None:
    async with bench() as here:
        env = await here.playing()
        here.way.say_goodbye(code)
        assert await bounded(step(env)) == 1
        await env.close()


@requirement("resume:goodbye", "slot:freed")
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_program_that_ends_without_closing_leaves_no_session_waiting() -> None:
    program = PROGRAMS / "leaving_client.py"
    journal = Journal()
    app = play_app(journal)
    async with serving(app) as served:
        process = await asyncio.create_subprocess_exec(sys.executable, str(program), served.url)
        assert await bounded(process.wait()) == 0
        await journal.until("closed")
        assert len(app.server.registry.detached) == 0


@requirement("resume:goodbye", "slot:freed")
async def test_a_client_that_is_killed_is_waited_for() -> None:
    async with bench(resume_window_s=30) as here:
        env = await here.playing()
        here.way.refusing = True
        here.way.cut()
        await here.until_detached()
        assert here.registry.active == 1
        here.way.refusing = False
        await env.close()


@requirement("resume:old-peers")
async def test_a_class_played_in_process_needs_no_resumption() -> None:
    app = play_app(Journal())
    async with AsyncEnv[Any, Any, Any](app) as env:
        await env.reset()
        (session,) = app.server.registry.sessions.values()
        assert not session.token


@requirement("liveness:pings")
async def test_a_proxy_that_drops_quiet_sockets_finds_none() -> None:
    from openenv_async.transport.address import Address

    quiet_s = 30
    for interval_s in (Address(url="").ping_interval_s, ServeOptions().ping_interval_s):
        assert interval_s is not None and interval_s <= 20 < quiet_s


@requirement("liveness:pings")
@pytest.mark.parametrize("wire", ["native", "json"])
@EXECUTIONS
async def test_pings_pass_both_ways_while_an_environment_steps(wire: Any, execution: Any) -> None:
    from support.forwarder import forwarding

    journal = Journal()
    options = ServeOptions(grace_s=0.5, linger_s=0.5, ping_interval_s=0.05, silence_s=0.5)
    async with serving(play_app(journal, execution), options=options) as served, forwarding(served.port) as way:
        async with PlayEnv(way.url, wire=wire) as env:
            await env.reset()
            call = asyncio.create_task(step(env, 2, op="wait"))
            await journal.until("waiting")
            for _ in range(12):
                before = dict(way.passed)
                async with asyncio.timeout(10):
                    while any(way.passed[side] == before[side] for side in before):  # noqa: ASYNC110 - bytes on sockets
                        await asyncio.sleep(0.01)
            journal.open_gate("step")
            assert await bounded(call) == 2
            assert way.connections == 1
