"""Bad requests over HTTP: the status, a list of problems as FastAPI has it, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from requirements import requirement
from support.http_play import http
from support.servers import bounded

from openenv_async import Limits, create_app

BAD_BODIES: list[tuple[bytes, str, list[Any]]] = [
    (b"nonsense", "json_invalid", ["body"]),
    (b"{", "json_invalid", ["body"]),
    (b"\xff\xfe", "json_invalid", ["body"]),
    (b'{"action":' + b"[" * 100_000, "json_invalid", ["body"]),
    (b"[]", "dict_type", ["body"]),
    (b"3", "dict_type", ["body"]),
    (b"null", "dict_type", ["body"]),
    (b'"x"', "dict_type", ["body"]),
]

BAD_STEPS: list[tuple[bytes, str, list[Any]]] = [
    (b"{}", "missing", ["body", "action"]),
    (b"", "missing", ["body", "action"]),
    (b'{"action":3}', "dict_type", ["body", "action"]),
    (b'{"action":null}', "dict_type", ["body", "action"]),
    (b'{"action":[]}', "dict_type", ["body", "action"]),
    (b'{"action":{},"timeout_s":0}', "value_error", ["body", "timeout_s"]),
    (b'{"action":{},"timeout_s":-1}', "value_error", ["body", "timeout_s"]),
    (b'{"action":{},"timeout_s":NaN}', "value_error", ["body", "timeout_s"]),
    (b'{"action":{},"timeout_s":"soon"}', "value_error", ["body", "timeout_s"]),
    (b'{"action":{"n":"x"}}', "int_type", ["n"]),
    (b'{"action":{"bogus":1}}', "extra_forbidden", ["bogus"]),
    (b'{"action":{"path":[{"x":1},{"y":2}]}}', "missing", ["path", 1, "x"]),
    (b'{"action":{"n":1001}}', "value_error", []),
]


@requirement("bad-input:not-json", "bad-input:no-object", "bad-input:deep-nesting", "bad-input:utf8", "http:problems")
@pytest.mark.parametrize("path", ["/reset", "/step"])
@pytest.mark.parametrize(("body", "kind", "loc"), BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_bodies_that_are_no_objects(path: str, body: bytes, kind: str, loc: list[Any]) -> None:
    async with http() as play:
        answer = await play.client.post(path, content=body)
        assert answer.status_code == 422
        problem = answer.json()["detail"][0]
        assert (problem["type"], problem["loc"]) == (kind, loc)
        assert problem["msg"]
        assert play.journal.count("built") == 0


@requirement(
    "bad-input:missing-key",
    "bad-input:extra-key",
    "bad-input:wrong-value",
    "bad-input:author-validator",
    "http:problems",
)
@pytest.mark.parametrize("in_session", [False, True])
async def test_steps_that_do_not_fit(in_session: bool) -> None:
    async with http() as play:
        session = await play.begin() if in_session else {}
        for body, kind, loc in BAD_STEPS:
            answer = await play.client.post("/step", content=body, headers=session)
            assert answer.status_code == 422, body
            problems = answer.json()["detail"]
            assert isinstance(problems, list)
            assert (problems[0]["type"], problems[0]["loc"]) == (kind, loc), body
            assert problems[0]["msg"]
            assert answer.json()["fault"] == "task"
        if in_session:
            assert (await play.step(session, n=2)).json()["observation"]["total"] == 2
        else:
            assert play.journal.count("built") == play.journal.count("closed")


@requirement("bad-input:wrong-value")
@pytest.mark.parametrize(
    "body", [{"seed": "x"}, {"seed": -1}, {"seed": 1.5}, {"episode_id": 7}, {"episode_id": "e" * 256}]
)
async def test_reset_arguments_of_wrong_types(body: dict[str, Any]) -> None:
    async with http() as play:
        answer = await play.client.post("/reset", json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == list(body)
        assert play.active == 0


@requirement("bad-input:too-large")
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit(chunked: bool) -> None:
    async with http(limits=Limits(max_message_bytes=10_000)) as play:
        session = await play.begin()
        body = b'{"action":{"op":"echo","value":"' + b"x" * 10_000 + b'"}}'

        async def pieces() -> Any:
            for at in range(0, len(body), 1000):
                yield body[at : at + 1000]

        answer = await play.client.post("/step", content=pieces() if chunked else body, headers=session)
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert answer.json()["limit"] == 10_000
        assert "10,000 bytes" in answer.json()["detail"]
        assert (await play.step(session, n=1)).json()["reward"] == 1.0
        answer = await play.step(session, op="huge", value=20_000)
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert (await play.step(session, n=1)).json()["observation"]["total"] == 2


@requirement("bad-input:unprintable", "bad-input:system-exit", "bad-input:keyboard-interrupt", "bad-input:unencodable")
async def test_environments_that_raise() -> None:
    async with http() as play:
        for op in ("raise", "unprintable", "surrogate", "exit", "interrupt", "cancelled", "object", "nothing"):
            answer = await play.client.post("/step", json={"action": {"op": op}})
            assert (answer.status_code, answer.json()["code"]) == (500, "EXECUTION_ERROR"), op
            assert answer.json()["detail"]
            assert "Traceback" not in answer.text
            assert "play_env" not in answer.text
        assert play.journal.count("built") == play.journal.count("closed") == 8


@requirement("session:crash-contained")
async def test_a_factory_that_raises() -> None:
    def broken() -> Any:
        raise OSError("/secret/place is missing")

    async with http(app=create_app(broken, dict, dict)) as play:
        for method, path in (("POST", "/reset"), ("GET", "/state"), ("GET", "/metadata")):
            answer = await play.client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (500, "FACTORY_ERROR")
            assert "secret" not in answer.text
        assert (await play.client.get("/health")).status_code == 200


@requirement("close:once", "slot:freed")
async def test_a_client_that_leaves_during_its_request() -> None:
    async with http("thread", max_concurrent_envs=1) as play:
        async with httpx.AsyncClient(base_url=play.served.url) as leaving:
            with pytest.raises(httpx.ReadTimeout):
                await bounded(
                    leaving.post("/step", json={"action": {"op": "wait"}}, timeout=httpx.Timeout(15, read=0.2))
                )
        await play.journal.until("waiting")
        play.journal.open_gate("step")
        await play.journal.until("closed")
        session: dict[str, str] = {}
        async with asyncio.timeout(15):
            while not session:  # the slot is given back a few turns of the loop after close()
                answer = await play.client.post("/reset")
                session = {} if answer.status_code == 503 else {"x-session-id": answer.headers["x-session-id"]}
        assert (await play.step(session, n=1)).status_code == 200
    assert play.journal.count("built") == play.journal.count("closed") == 2


@requirement("server:token", "server:origin")
async def test_tokens_and_origins() -> None:
    async with http(token="s3cret", allow_origins=["https://good.example"]) as play:
        assert (await play.client.get("/health")).status_code == 200
        for path in ("/metadata", "/schema", "/state", "/openapi.json", "/docs", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
                answer = await play.client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED"), path
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "s3cret" not in answer.text
        assert play.journal.count("built") == 0
        good = {"Authorization": "Bearer s3cret"}
        assert (await play.client.get("/state", headers=good)).status_code == 200
        for origin, status in (("https://evil.example", 403), ("https://good.example", 200), (play.served.url, 200)):
            answer = await play.client.get("/state", headers={**good, "Origin": origin})
            assert answer.status_code == status, origin
        assert (await play.client.get("/health", headers={"Origin": "https://evil.example"})).status_code == 403
