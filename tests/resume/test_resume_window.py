"""How long a session waits for its client, and who may have it: windows, secrets, half-open connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cutting import bench, step
from requirements import requirement
from support.play_env import play_app
from support.raw_clients import RawNative, raw_native, raw_socket
from support.servers import Journal, bounded, serving

from openenv_async import Limits
from openenv_async.errors import SessionLost
from openenv_async.protocol.frames import Ack, Close, Closed, Failure, Hello, Open, Opened, Reply, Resume, Resumed, Step
from openenv_async.server.app import EnvApp

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])
KEY = "a key of this test's making"


@contextlib.asynccontextmanager
async def raw_keyed(url: str, key: str = KEY) -> AsyncIterator[tuple[RawNative, Opened]]:
    """A connection whose session 1 may be resumed and has been reset."""
    async with raw_socket(url, native=True) as socket:
        client = RawNative(socket)
        assert isinstance(await client.hear(), Hello)
        await client.send(Open(1, key))
        opened = await client.hear()
        assert isinstance(opened, Opened)
        assert (await client.reset()).total == 0
        yield client, opened


@contextlib.asynccontextmanager
async def raw_again(url: str) -> AsyncIterator[RawNative]:
    """A connection without sessions."""
    async with raw_socket(url, native=True) as socket:
        client = RawNative(socket)
        assert isinstance(await client.hear(), Hello)
        yield client


async def detached(app: EnvApp, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(app.server.registry.detached) != count:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)


@requirement("resume:window", "session:fails-loudly", "slot:freed", "close:once")
@EXECUTIONS
async def test_a_client_that_does_not_come_back_in_time_has_lost_its_session(execution: Any) -> None:
    async with bench(execution, resume_window_s=0.3, max_sessions=1) as here:
        env = await here.playing()
        session = env.session_id
        here.way.refusing = True
        here.way.cut()
        with pytest.raises(SessionLost, match=r"did not come back within 0.3 s.*call reset\(\) for a new session"):
            await bounded(step(env))
        await here.journal.until("closed")
        await here.until_empty()
        for _ in range(2):
            with pytest.raises(SessionLost):
                await bounded(step(env))
            with pytest.raises(SessionLost):
                await bounded(env.state())
        assert not env.connected
        here.way.refusing = False
        assert (await bounded(env.reset(start=2))).observation.total == 2
        assert env.session_id != session
        assert await step(env) == 3
        await env.close()
    assert (here.journal.count("built"), here.journal.count("closed")) == (2, 2)


@requirement("resume:window")
async def test_a_session_that_ended_meanwhile_is_refused_to_a_client_that_comes_later() -> None:
    journal = Journal()
    app = play_app(journal, limits=Limits(resume_window_s=0.05))
    async with serving(app) as served:
        async with raw_keyed(served.url) as (client, opened):
            client.socket.transport.abort()
        await journal.until("closed")
        async with raw_again(served.url) as again:
            said = await again.ask(Resume(1, opened.session_id, opened.token))
            assert (said.code, said.details["retryable"]) == ("SESSION_LOST", False)
            late = await again.ask(Step(1, 2, msgspec.Raw(b"\x80")))
            assert late.code == "SESSION_LOST"
    assert journal.count("closed") == 1


@requirement("resume:busy", "idle:nothing-in-flight", "slot:freed")
@EXECUTIONS
async def test_a_window_that_passes_during_a_call_ends_the_session_after_it(execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution, limits=Limits(resume_window_s=0.05, max_sessions=1))
    async with serving(app) as served:
        async with raw_keyed(served.url) as (client, _):
            await client.begin(op="wait")
            await journal.until("waiting")
            client.socket.transport.abort()
        await detached(app)
        await detached(app, 0)  # the window has passed
        assert (app.server.registry.active, journal.count("closed")) == (1, 0)
        journal.open_gate("step")
        await journal.until("closed")
        assert journal.count("went on") == 1
        async with raw_native(served.url) as following:
            assert (await following.reset()).total == 0


@requirement("resume:secret")
async def test_a_session_is_resumed_with_its_own_token_only() -> None:
    app = play_app(Journal())
    async with serving(app) as served:
        async with raw_keyed(served.url) as (client, opened):
            client.socket.transport.abort()
        await detached(app)
        async with raw_keyed(served.url, "another key") as (stranger, other):
            wrong = [
                (opened.session_id, ""),
                (opened.session_id, other.token),
                (opened.session_id, opened.token + "x"),
                (opened.session_id, "töken"),
                ("nobody", opened.token),
                ("", ""),
                (other.session_id, opened.token),
            ]
            for sid, (session_id, token) in enumerate(wrong, 2):
                refused = await stranger.ask(Resume(sid, session_id, token))
                assert refused.code == "SESSION_LOST", (session_id, token)
            await stranger.send(Resume(20, opened.session_id, opened.token))
            assert await stranger.hear() == Resumed(20)
            assert (await stranger.step(n=5)).total == 5
        assert len(opened.token) >= 32
        assert opened.token != other.token


@requirement("resume:old-peers", "slot:freed")
async def test_a_session_that_was_not_opened_to_be_resumed_ends_with_its_connection() -> None:
    journal = Journal()
    app = play_app(journal, max_concurrent_envs=1)
    async with serving(app) as served:
        async with raw_again(served.url) as client:
            await client.send(Open(1))
            opened = await client.hear()
            assert isinstance(opened, Opened) and not opened.token
            client.socket.transport.abort()
        await journal.until("closed")
        async with raw_again(served.url) as again:
            assert (await again.ask(Resume(1, opened.session_id, ""))).code == "SESSION_LOST"


@requirement("resume:old-peers")
async def test_without_a_window_nothing_is_offered_and_nothing_kept() -> None:
    journal = Journal()
    app = play_app(journal, limits=Limits(resume_window_s=0))
    async with serving(app) as served:
        async with raw_socket(served.url, native=True) as socket:
            client = RawNative(socket)
            hello = await client.hear()
            assert isinstance(hello, Hello)
            assert "resume" not in hello.features and "resume_window_s" not in hello.limits
            await client.send(Open(1, KEY))
            opened = await client.hear()
            assert isinstance(opened, Opened) and not opened.token
            client.socket.transport.abort()
        await journal.until("closed")


@requirement("resume:takeover")
@EXECUTIONS
async def test_a_resumed_session_leaves_a_half_open_connection_silently(execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution)
    async with serving(app) as served:
        async with raw_keyed(served.url) as (old, opened):
            await old.begin(op="wait", n=3)
            await journal.until("waiting")
            async with raw_again(served.url) as new:
                await new.send(Resume(7, opened.session_id, opened.token), Step(7, 2, msgspec.Raw(b"\x80")))
                assert await new.hear() == Resumed(7)
                assert len(app.server.registry.detached) == 0
                journal.open_gate("step")
                reply = await new.hear()
                assert isinstance(reply, Reply) and (reply.sid, reply.rid) == (7, 2)
                assert msgspec.msgpack.decode(reply.data)["total"] == 3
                # The connection that was left is alive after all, and has the session no longer.
                said = await old.ask(Step(1, 3, msgspec.Raw(b"\x80")))
                assert said.code == "SESSION_LOST"
                await old.send(Close(1))
                assert await old.hear() == Closed(1)
                assert (await new.ask(Step(7, 3, msgspec.Raw(new.encode({"n": 1}))))).total == 4
    assert (journal.count("waiting"), journal.count("closed")) == (1, 1)


@requirement("resume:takeover")
async def test_a_client_behind_a_half_open_connection_takes_its_session_along() -> None:
    async with bench() as here:
        env = await here.playing(start=1)
        call = asyncio.create_task(step(env))
        await asyncio.sleep(0)
        here.way.hold()
        here.way.forget()
        here.way.leave()
        assert await bounded(call) == 2
        assert await bounded(step(env)) == 3
        assert len(here.app.server.connections) == 2
        await env.close()


@requirement("resume:takeover")
async def test_a_reply_that_a_half_open_connection_does_not_take_holds_up_nothing() -> None:
    huge = 40_000_000
    async with bench(max_message_bytes=2 * huge, chunk_bytes=2 * huge) as here:
        async with raw_keyed(here.url) as (old, opened):
            here.way.hold("down")
            await old.begin(op="huge", value=huge)
            async with asyncio.timeout(10):
                while here.registry.sessions[opened.session_id].outcome_of(2) is None:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0)
            here.way.forget()
            async with raw_again(here.url) as new:
                await new.send(Resume(1, opened.session_id, opened.token))
                assert await new.hear() == Resumed(1)
                assert (await new.ask(Step(1, 3, msgspec.Raw(new.encode({"n": 1}))))).total == 1
            old.socket.transport.abort()


@requirement("resume:kept-outcome")
async def test_the_newest_outcome_is_given_again_until_it_is_acknowledged() -> None:
    app = play_app(Journal())
    async with serving(app) as served, raw_keyed(served.url) as (first, opened):
        assert (await first.step(n=2)).total == 2
        session = app.server.registry.sessions[opened.session_id]
        resume = opened.session_id, opened.token
        async with raw_again(served.url) as client:
            again = Step(1, 2, msgspec.Raw(client.encode({"n": 2})))
            await client.send(Resume(1, *resume))
            assert await client.hear() == Resumed(1)
            for _ in range(2):
                assert (await client.ask(again)).total == 2
            older = await client.ask(Step(1, 1, msgspec.Raw(b"\x80")))
            assert (older.code, "ids only grow" in older.message) == ("VALIDATION_ERROR", True)
            assert session.outcome_of(2) is not None
            await client.send(Ack(1, 1), Ack(9, 9))
            assert (await client.ask(again)).total == 2
            await client.send(Ack(1, 2))
            assert (await client.ask(Step(1, 3, msgspec.Raw(client.encode({"n": 1}))))).total == 3
            assert session.outcome_of(2) is None


@requirement("resume:kept-outcome")
async def test_large_replies_are_acknowledged_at_once() -> None:
    async with bench(chunk_bytes=1_000) as here:
        env = await here.playing()
        session = here.registry.sessions[env.session_id or ""]
        from support.play_env import PlayAction

        await env.step(PlayAction(op="echo", value="x" * 900))
        assert session.outcome_of(2) is not None, "kept until the next request"
        await env.step(PlayAction(op="echo", value="x" * 5_000))
        async with asyncio.timeout(10):
            while session.outcome_of(3) is not None:  # noqa: ASYNC110 - the acknowledgement is not answered
                await asyncio.sleep(0)
        await env.close()


async def test_a_request_that_was_acknowledged_and_is_asked_again_is_refused() -> None:
    async with serving(play_app(Journal())) as served, raw_keyed(served.url) as (first, opened):
        assert (await first.step(n=2)).total == 2
        async with raw_again(served.url) as client:
            await client.send(Resume(1, opened.session_id, opened.token), Ack(1, 2))
            assert await client.hear() == Resumed(1)
            said = await client.ask(Step(1, 2, msgspec.Raw(client.encode({"n": 2}))))
            assert (said.code, "acknowledged" in said.message) == ("VALIDATION_ERROR", True)
            assert (await client.ask(Step(1, 3, msgspec.Raw(client.encode({"n": 1}))))).total == 3


@requirement("resume:same-session")
async def test_resumed_sessions_count_among_those_of_the_connection() -> None:
    app = play_app(Journal(), limits=Limits(max_sessions_per_connection=1))
    async with serving(app) as served:
        async with raw_keyed(served.url) as (client, opened):
            client.socket.transport.abort()
        await detached(app)
        async with raw_again(served.url) as again:
            await again.open(1)
            await again.send(Resume(2, opened.session_id, opened.token))
            full = await again.hear()
            assert isinstance(full, Failure) and full.code == "CAPACITY_REACHED"
            assert (await again.ask(Resume(2, opened.session_id, opened.token))).code == "VALIDATION_ERROR"
        async with raw_again(served.url) as third:
            await third.send(Resume(2, opened.session_id, opened.token))
            assert await third.hear() == Resumed(2)


@requirement("close:server-stops", "close:once")
@EXECUTIONS
async def test_a_server_that_stops_ends_the_sessions_whose_clients_are_away(execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution)
    async with serving(app) as served:
        async with raw_keyed(served.url) as (client, _):
            client.socket.transport.abort()
        await detached(app)
        await served.stop()
    assert (journal.count("built"), journal.count("closed")) == (1, 1)
