"""A token guards everything but /health, and peers see nothing of the server's insides."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from requirements import requirement
from starlette.routing import Route
from support.play_env import play_app
from support.raw_clients import raw_client, raw_socket
from support.servers import Journal, bounded, serving
from websockets.exceptions import InvalidStatus

import openenv_async

TOKEN = "correct-horse-battery"
WRONG: dict[str, dict[str, str]] = {
    "none": {},
    "wrong": {"authorization": "Bearer incorrect-horse-batter"},
    "a beginning of it": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "another scheme": {"authorization": f"Basic {TOKEN}"},
    "no scheme": {"authorization": TOKEN},
    "empty": {"authorization": "Bearer"},
    "another header": {"x-api-key": TOKEN},
}
DETOURS = ["/", "/nowhere", "//health", "/health/", "/health/../state", "/%68ealth/x", "/HEALTH", "/health;/../state"]


@requirement("security:every-route")
@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
async def test_no_route_answers_without_the_token(headers: dict[str, str]) -> None:
    app = play_app(Journal(), token=TOKEN)
    routes = [(path.path, path.methods or {"GET"}) for path in app.routes if isinstance(path, Route)]
    asked = [(method, path) for path, methods in routes for method in methods if path != "/health"]
    assert {"/capacity", "/openapi.json", "/docs", "/metadata", "/schema"} <= {path for _, path in asked}
    asked += [("GET", path) for path in DETOURS]
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url, headers=headers) as client:
        assert (await client.get("/health")).status_code == 200
        for method, path in asked:
            answer = await bounded(client.request(method, path))
            assert answer.status_code == 401, (method, path)
            assert TOKEN not in answer.text + str(answer.headers)
            assert answer.headers["www-authenticate"] == "Bearer"
        for native in (True, False):
            with pytest.raises(InvalidStatus) as caught:
                async with raw_socket(served.url, native=native, additional_headers=headers):
                    pass
            assert caught.value.response.status_code == 401
    assert app.server.registry.active == 0


@requirement("security:every-route")
async def test_a_token_in_the_query_is_no_token() -> None:
    async with serving(play_app(Journal(), token=TOKEN)) as served, httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/capacity", params={"token": TOKEN})).status_code == 401
        right = await client.get("/capacity", headers={"authorization": f"bearer {TOKEN}"})
        assert (right.status_code, right.json()["active"]) == (200, 0)


@requirement("security:no-traceback")
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_what_an_environment_raises_shows_no_traceback_but_with_debug(wire: str, debug: bool) -> None:
    async with serving(play_app(Journal(), debug=debug)) as served, raw_client(wire, served.url) as client:
        await client.reset()
        told = repr(await client.step(op="raise"))
        assert "the pot is empty" in told
        assert ("Traceback" in told) is debug
        assert (openenv_async.__file__.rpartition("/")[0] in told) is debug


@requirement("security:no-traceback")
async def test_a_bug_of_ours_tells_nothing_but_where_it_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = play_app(Journal())

    def broken(*args: Any) -> Any:
        raise RuntimeError(f"a bug in {__file__}")

    monkeypatch.setattr(app.server.registry, "by_state", broken)
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.get("/capacity")
    assert answer.status_code == 500
    assert __file__ not in answer.text
    assert "Traceback" not in answer.text
