"""Who plays on a server, and how an operator ends what they play."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.operator_client import close, listed, operator_headers, until_listed
from support.play_env import play_app
from support.raw_clients import raw_client
from support.servers import Journal, bounded, serving

from openenv_async import AsyncEnv
from openenv_async.errors import SessionLost
from openenv_async.limits import Limits
from openenv_async.server.operator_key import HEADER, find_key
from openenv_async.server.operators import CLOSED_BY_OPERATOR


@requirement("sessions:listed")
@pytest.mark.parametrize("execution", ["thread", "inline"])
async def test_the_list_says_what_each_session_does(execution: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution)) as served:
        async with AsyncEnv(served.url) as one, AsyncEnv(served.url, wire="json") as other:
            assert (await listed(served.url))["total"] == 2
            await one.reset(seed=1)
            for n in range(3):
                await one.step({"n": n})
            with pytest.raises(Exception, match="the pot is empty"):
                await one.step({"op": "raise"})
            await other.reset()
            hanging = asyncio.ensure_future(other.step({"op": "wait"}))
            await journal.until("waiting")
            said = await listed(served.url, sort="steps")
            native, json = said["sessions"]
            journal.open_gate("step")
            await bounded(hanging)
    assert native["id"] == one.session_id or one.session_id is None
    assert (native["state"], native["steps"], native["episodes"], native["errors"]) == ("ready", 3, 1, 1)
    assert (native["wire"], json["wire"]) == ("native", "json")
    assert native["client"].startswith("127.0.0.1:") and native["call"] is None
    assert 0 <= native["idle_s"] <= native["age_s"] < 60
    assert native["step_ms"]["of"] == 3 and 0 < native["step_ms"]["p50"] <= native["step_ms"]["max"]
    assert (json["state"], json["idle_s"], json["call"]["kind"]) == ("busy", None, "step")
    assert 0 < json["call"]["for_s"] < 60
    about = said["server"]
    assert (about["environment"], about["pid"]) == ("play", os.getpid())
    assert {row["execution"] for row in said["sessions"]} == {execution}
    assert (about["steps"], about["episodes"], about["errors"], about["active"]) == (3, 2, 1, 2)
    assert about["memory_bytes"] > 1_000_000 and about["step_ms"]["of"] == 3


@requirement("sessions:paged")
async def test_the_list_is_paged_and_sorted() -> None:
    async with serving(play_app(Journal(), limits=Limits(max_sessions=5, queue_timeout_s=30))) as served:
        envs = [AsyncEnv(served.url) for _ in range(5)]
        for number, env in enumerate(envs):
            await env.open()
            await env.reset()
            for n in range(number):
                await env.step({"n": n})
        waiting = asyncio.ensure_future(AsyncEnv(served.url).open())
        await until_listed(served.url, lambda said: said["server"]["waiting"])
        first = await listed(served.url, sort="steps", limit=2)
        rest = await listed(served.url, sort="steps", limit=1000, offset=2)
        oldest = await listed(served.url, limit=1)
        waiting.cancel()
        await asyncio.wait([waiting])
        for env in envs:
            await env.close()
        assert (await listed(served.url))["server"]["steps"] == 10
    assert [row["steps"] for row in first["sessions"] + rest["sessions"]] == [4, 3, 2, 1, 0, 0]
    assert rest["sessions"][-1]["state"] == "opening"
    assert oldest["sessions"][0]["steps"] == 0 and oldest["total"] == 6


@requirement("sessions:paged")
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "offset=1.5", "sort=colour", "page=2", "limit=%C2%B2"]
)
async def test_a_query_without_sense_is_refused_with_a_sentence(query: str) -> None:
    async with serving(play_app(Journal())) as served:
        async with httpx.AsyncClient(base_url=served.url, headers=operator_headers(served.url)) as http:
            answer = await bounded(http.get(f"/sessions?{query}"))
    assert answer.status_code == 422 and "must be" in answer.text or "takes limit" in answer.text


@requirement("sessions:closed", "close:once", "slot:freed")
@pytest.mark.parametrize("execution", ["thread", "inline"])
async def test_a_closed_session_is_lost_to_its_client_and_reset_begins_another(execution: Any) -> None:
    journal = Journal()
    app = play_app(journal, execution)
    async with serving(app) as served, AsyncEnv(served.url) as env:
        await env.reset()
        name = (await listed(served.url))["sessions"][0]["id"]
        answer = await close(served.url, name)
        assert answer.json() == {"id": name, "closed": True, "call": None, "given_up": False}
        assert app.server.registry.active == 0 and journal.count("closed") == 1
        with pytest.raises(SessionLost, match=CLOSED_BY_OPERATOR):
            await bounded(env.step({"n": 1}))
        await bounded(env.reset())
        assert (await bounded(env.step({"n": 1}))).observation["total"] == 1
        assert (await close(served.url, name)).status_code == 404
    assert journal.count("closed") == journal.count("built") == 2


@requirement("sessions:closed")
async def test_a_coroutine_in_flight_is_cancelled_and_its_caller_told() -> None:
    journal = Journal()
    async with serving(play_app(journal, "inline")) as served, AsyncEnv(served.url) as env:
        await env.reset()
        hanging = asyncio.ensure_future(env.step({"op": "wait"}))
        await journal.until("waiting")
        answer = await close(served.url, (await listed(served.url))["sessions"][0]["id"])
        assert answer.json()["call"] == "step" and not answer.json()["given_up"]
        with pytest.raises(SessionLost, match=CLOSED_BY_OPERATOR):
            await bounded(hanging)
    assert journal.count("closed") == 1 and journal.count("went on") == 0


@requirement("sessions:hung", "close:once", "slot:freed")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_a_hung_thread_is_given_up_and_closes_when_its_call_ends(wire: Any) -> None:
    journal = Journal()
    app = play_app(journal, "thread")
    async with serving(app) as served, AsyncEnv(served.url, wire=wire) as env:
        await env.reset()
        hanging = asyncio.ensure_future(env.step({"op": "wait"}))
        await journal.until("waiting")
        answer = await close(served.url, (await listed(served.url))["sessions"][0]["id"], grace_s=0.1)
        assert answer.json()["given_up"] is True
        assert app.server.registry.active == 0 and not app.server.registry.sessions
        with pytest.raises(SessionLost, match=CLOSED_BY_OPERATOR):
            await bounded(hanging)
        await bounded(env.reset())
        assert journal.count("closed") == 0
        journal.open_gate("step")
        await journal.until("closed")
    assert journal.count("closed") == journal.count("built") == 2


@requirement("sessions:closed")
async def test_a_client_of_openenvs_wire_reads_why_its_session_is_over() -> None:
    async with serving(play_app(Journal())) as served, raw_client("json", served.url) as client:
        await client.reset()
        await close(served.url, (await listed(served.url))["sessions"][0]["id"])
        said = await bounded(client.socket.recv())
        assert "SESSION_LOST" in str(said) and CLOSED_BY_OPERATOR in str(said)


@requirement("sessions:closed")
async def test_a_session_that_waits_for_a_slot_is_closed_too() -> None:
    async with serving(play_app(Journal(), limits=Limits(max_sessions=1))) as served, AsyncEnv(served.url) as held:
        await held.reset()
        waiting = asyncio.ensure_future(AsyncEnv(served.url).open())
        said = await until_listed(served.url, lambda said: said["total"] == 2)
        opening = [row for row in said["sessions"] if row["state"] == "opening"]
        assert opening[0]["idle_s"] is None
        assert (await close(served.url, opening[0]["id"])).status_code == 200
        with pytest.raises(SessionLost, match=CLOSED_BY_OPERATOR):
            await bounded(waiting)
        assert (await held.step({"n": 1})).observation["total"] == 1


STRANGERS: dict[str, dict[str, str]] = {
    "by the loopback address": {},
    "through a proxy that says so": {"x-forwarded-for": "203.0.113.9"},
    "through a proxy that forwards": {"forwarded": "for=203.0.113.9"},
    "with a wrong key": {HEADER: "x" * 43},
    "with an empty key": {HEADER: ""},
    "with a token that there is not": {"authorization": "Bearer correct-horse-battery"},
}


@requirement("sessions:operators")
@pytest.mark.parametrize("socket", ["tcp", "unix"])
@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
async def test_without_a_token_an_address_makes_no_operator(
    headers: dict[str, str], socket: str, tmp_path: Path
) -> None:
    app = play_app(Journal())
    bind: Any = ("127.0.0.1", 0) if socket == "tcp" else tmp_path / "socket"
    async with serving(app, bind) as served, AsyncEnv(served.url) as env:
        await env.reset()
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "socket")) if socket == "unix" else None
        base = "http://localhost" if socket == "unix" else served.url
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as http:
            refused = await bounded(http.get("/sessions"))
            assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
            assert "token" in refused.json()["message"]
            (name,) = app.server.registry.sessions
            assert (await bounded(http.delete(f"/sessions/{name}"))).status_code == 403
            with_key = await bounded(http.get("/sessions", headers=operator_headers(served.url)))
            assert [row["id"] for row in with_key.json()["sessions"]] == [name]
        assert (await env.step({"n": 1})).observation["total"] == 1


@requirement("sessions:operators")
async def test_the_key_of_a_start_is_in_a_private_file_while_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    app = play_app(Journal())
    async with serving(app) as served:
        (file,) = (tmp_path / "openenv").iterdir()
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert find_key(served.url) == app.server.operator_key.value
        port = served.url.rpartition(":")[2]
        assert find_key(f"http://localhost:{port}") == app.server.operator_key.value
        # Never sent to a server of another address.
        assert find_key(f"http://192.0.2.1:{port}") is None
        assert find_key(f"http://127.0.0.1:{int(port) - 1}") is None
        file.chmod(0o644)
        assert find_key(served.url) is None
    assert list((tmp_path / "openenv").iterdir()) == []


@requirement("sessions:operators")
async def test_a_folder_that_others_may_write_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "openenv").mkdir()
    (tmp_path / "openenv").chmod(0o777)
    async with serving(play_app(Journal())) as served:
        assert find_key(served.url) is None
    assert "no key file for operators" in caplog.text


@requirement("sessions:operators")
async def test_with_a_token_whoever_has_it_may() -> None:
    app = play_app(Journal(), token="correct-horse-battery")
    remote = httpx.ASGITransport(app=app, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=remote, base_url="http://env.example.org") as http:
        assert (await bounded(http.get("/sessions"))).status_code == 401
        right = {"authorization": "Bearer correct-horse-battery", "x-forwarded-for": "203.0.113.9"}
        assert (await bounded(http.get("/sessions", headers=right))).json()["total"] == 0
