"""Sessions over plain HTTP: named in a header, one table and one cap with the WebSockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from requirements import requirement
from support.http_play import SESSION, http
from support.play_env import Execution, PlayAction, PlayObservation, PlayState
from support.servers import bounded

from openenv_async import AsyncEnv, Limits
from openenv_async.errors import CapacityError

EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


@requirement("session:own-environment", "close:once", "http:sessions")
@EXECUTIONS
async def test_two_sessions_played_in_turn(execution: Execution) -> None:
    async with http(execution) as play:
        one, two = await play.begin(start=10), await play.begin(start=20)
        assert one != two
        for n in (1, 2):
            assert (await play.step(one, n=n)).json()["reward"] == float(n)
            assert (await play.step(two, n=n)).headers[SESSION] == two[SESSION]
        assert (await play.client.get("/state", headers=one)).json()["total"] == 13
        assert (await play.client.get("/state", headers=two)).json() == {
            "episode_id": None,
            "step_count": 2,
            "total": 23,
        }
        assert play.active == 2
        again = await play.client.post("/reset", json={"start": 1, "episode_id": "e"}, headers=one)
        assert again.headers[SESSION] == one[SESSION]
        assert (await play.client.get("/state", headers=one)).json()["episode_id"] == "e"
        assert play.journal.count("built") == 2
        for session in (one, two):
            assert (await play.client.delete("/session", headers=session)).status_code == 204
        assert (play.active, play.journal.count("closed")) == (0, 2)


@requirement("http:sessions", "session:fails-loudly")
async def test_a_session_that_ended_or_never_was() -> None:
    async with http() as play:
        session = await play.begin()
        assert (await play.client.delete("/session", headers=session)).status_code == 204
        for headers in (session, {SESSION: "never"}, {SESSION: ""}):
            for method, path in (("POST", "/step"), ("POST", "/reset"), ("GET", "/state"), ("DELETE", "/session")):
                body: dict[str, Any] | None = {"action": {}} if path == "/step" else None
                answer = await play.client.request(method, path, headers=headers, json=body)
                assert (answer.status_code, answer.json()["code"]) == (404, "SESSION_LOST"), (method, path)
                assert "POST /reset" in answer.json()["detail"]
        assert play.journal.count("built") == 1
        answer = await play.client.delete("/session")
        assert (answer.status_code, answer.json()["path"]) == (422, SESSION)


@requirement("slot:freed", "close:once", "http:idle")
@EXECUTIONS
async def test_an_idle_session_ends(execution: Execution) -> None:
    async with http(execution, limits=Limits(http_idle_timeout_s=0.1)) as play:
        session = await play.begin()
        await play.journal.until("closed")
        answer = await play.step(session, n=1)
        assert (answer.status_code, answer.json()["code"]) == (404, "SESSION_LOST")
        assert play.journal.count("closed") == 1


@requirement("idle:nothing-in-flight")
@EXECUTIONS
async def test_a_busy_session_is_not_idle(execution: Execution) -> None:
    async with http(execution, limits=Limits(http_idle_timeout_s=1.0)) as play:
        session = await play.begin()
        step = asyncio.create_task(play.step(session, op="wait", n=7))
        await play.journal.until("waiting")
        # Another session begun now is idle for long enough to end: so would this one be, were it not busy.
        await play.begin()
        await play.journal.until("closed")
        assert play.journal.count("closed") == 1
        play.journal.open_gate("step")
        assert (await bounded(step)).json()["reward"] == 7.0
        await play.journal.until("closed", 2)


@requirement("slot:freed", "server:one-cap")
async def test_http_and_websockets_share_one_cap() -> None:
    limits = Limits(max_sessions=2, queue_timeout_s=0.05)
    async with http(limits=limits) as play:
        session = await play.begin()
        async with PlayEnv(play.served.url) as env:
            await env.reset()
            for path in ("/reset", "/step"):
                answer = await play.client.post(path, json={"action": {}} if path == "/step" else {})
                assert (answer.status_code, answer.json()["code"]) == (503, "CAPACITY_REACHED")
                assert answer.headers["retry-after"] == "1"
                assert (answer.json()["active_sessions"], answer.json()["max_sessions"]) == (2, 2)
            for path in ("/state", "/metadata"):
                assert (await play.client.get(path)).status_code == 503
            for wire in ("native", "json"):
                other = PlayEnv(play.served.url, wire=wire)
                with pytest.raises(CapacityError):
                    await bounded(_connect_and_reset(other))
                await other.close()
            # Those who are in play on.
            assert (await play.step(session, n=1)).status_code == 200
            assert (await env.step(PlayAction(n=1))).observation.total == 1
            await play.client.delete("/session", headers=session)
            async with PlayEnv(play.served.url) as other:
                await other.reset()
        assert (await play.client.post("/step", json={"action": {}})).status_code == 200
    assert play.journal.count("built") == play.journal.count("closed") == 4


async def _connect_and_reset(env: PlayEnv) -> None:
    await env.connect()
    await env.reset()


@requirement("client:two-at-once")
async def test_two_requests_at_once_in_one_session() -> None:
    async with http() as play:
        session = await play.begin()
        first = asyncio.create_task(play.step(session, op="wait", n=1))
        await play.journal.until("waiting")
        for path in ("/step", "/reset"):
            answer = await play.client.post(path, json={"action": {}} if path == "/step" else {}, headers=session)
            assert answer.status_code == 409
            assert "busy" in answer.json()["detail"]
        play.journal.open_gate("step")
        assert (await bounded(first)).status_code == 200
        assert (await play.step(session, n=1)).status_code == 200


@requirement("session:hang-contained", "slot:freed")
async def test_a_session_whose_thread_hangs_is_gone() -> None:
    async with http("thread", limits=Limits(max_sessions=1)) as play:
        session = await play.begin()
        answer = await play.client.post("/step", json={"action": {"op": "wait"}, "timeout_s": 0.05}, headers=session)
        assert (answer.status_code, answer.json()["session_usable"]) == (504, False)
        assert (await play.step(session, n=1)).status_code == 404
        another = await play.begin()  # its slot is free
        assert (await play.step(another, n=1)).status_code == 200
        play.journal.open_gate("step")
        await play.journal.until("closed")


@requirement("session:crash-contained")
@EXECUTIONS
@pytest.mark.parametrize("op", ["raise", "exit", "interrupt", "unprintable", "object"])
async def test_a_session_survives_what_its_environment_raises(execution: Execution, op: str) -> None:
    async with http(execution) as play:
        session = await play.begin()
        answer = await play.step(session, op=op)
        assert (answer.status_code, answer.json()["code"]) == (500, "EXECUTION_ERROR")
        assert (await play.step(session, n=2)).json()["observation"]["total"] == 2


@requirement("slot:freed", "close:once")
async def test_a_reset_that_fails_leaves_no_session() -> None:
    async with http(max_concurrent_envs=1) as play:
        for body in ({"op": "raise"}, {"seed": -1}, {"colour": 1}, {"op": "object"}):
            answer = await play.client.post("/reset", json=body)
            assert answer.status_code in (422, 500)
            assert SESSION not in answer.headers
            assert play.active == 0
        assert play.journal.count("built") == play.journal.count("closed") == 4
        session = await play.begin()
        # In a session that is there it fails alone.
        assert (await play.client.post("/reset", json={"op": "raise"}, headers=session)).status_code == 500
        assert (await play.step(session, n=1)).status_code == 200


@requirement("close:server-stops", "close:once")
@EXECUTIONS
async def test_a_server_that_stops_ends_them(execution: Execution) -> None:
    async with http(execution) as play:
        await play.begin()
        await play.begin()
        await play.served.stop()
        assert play.journal.count("closed") == 2


async def test_a_server_that_is_stopping_says_so() -> None:
    async with http() as play:
        session = await play.begin()
        step: asyncio.Task[Any] = asyncio.create_task(play.step(session, op="wait", n=1))
        await play.journal.until("waiting")
        draining = asyncio.create_task(play.app.server.drain(10))
        await asyncio.wait([draining], timeout=0)
        answer = await play.client.post("/reset")
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVER_CLOSING")
        play.journal.open_gate("step")
        assert (await bounded(step)).json()["reward"] == 1.0  # in flight when the drain began
        await bounded(draining)
        assert play.journal.count("closed") == 1
