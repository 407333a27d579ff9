"""What the runtime promises of every environment holds for those written for OpenEnv."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from requirements import requirement
from support.compat_envs import Said, Say, opened, recording
from support.servers import Journal, bounded, gathered, serving
from websockets.exceptions import ConnectionClosed, InvalidStatus

from openenv_async.compat.server.exceptions import ConcurrencyConfigurationError
from openenv_async.compat.server.http_server import HTTPEnvServer, create_app
from openenv_async.compat.server.types import ConcurrencyConfig
from openenv_async.server import settings
from openenv_async.server.options import COMMAND_LINE, Given


@requirement("compat:threads")
async def test_a_plain_environment_keeps_to_one_thread_off_the_loop() -> None:
    journal = Journal()
    async with serving(create_app(recording(journal), Say, Said)) as served:
        async with opened(served.url) as ws:
            await ws.reset()
            await ws.step()
            await ws.say({"type": "state"})
        await journal.until("close")
        async with httpx.AsyncClient(base_url=served.url) as http:
            for path in ("/state", "/metadata", "/Recording/splits"):
                assert (await http.get(path)).status_code == 200, path
            assert (await http.post("/reset")).status_code == 200
            assert (await http.post("/step", json={"action": {}})).status_code == 200
    assert journal.count("on the loop") == 0
    assert journal.count("on another thread") == 0
    assert journal.count("built") == journal.count("close") == 6


@requirement("compat:threads")
async def test_sixteen_sessions_on_one_thread() -> None:
    journal = Journal()
    env = recording(journal, REQUIRES_SINGLE_THREAD_EXECUTOR=True)
    async with (
        serving(create_app(env, Say, Said, max_concurrent_envs=16)) as served,
        contextlib.AsyncExitStack() as stack,
    ):
        sockets = [await stack.enter_async_context(opened(served.url)) for _ in range(16)]
        await gathered([ws.reset() for ws in sockets])
        await gathered([ws.step() for ws in sockets])
    assert journal.count("step") == 16


@requirement("compat:close")
async def test_close_runs_once_when_the_client_leaves_in_a_step() -> None:
    journal = Journal()
    async with serving(create_app(recording(journal), Say, Said)) as served:
        async with opened(served.url) as ws:
            await ws.reset()
            await ws.socket.send('{"type": "step", "data": {"text": "wait"}}')
            await journal.until("step")
        journal.open_gate("step")
        await journal.until("close")
        async with opened(served.url) as ws:
            assert (await ws.reset())["type"] == "observation"
    assert journal.count("close") == journal.count("built") == 2


@requirement("compat:close")
async def test_close_runs_for_every_session_when_the_server_stops() -> None:
    journal = Journal()
    app = create_app(recording(journal), Say, Said, max_concurrent_envs=4)
    async with serving(app) as served, contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(opened(served.url)) for _ in range(4)]
        await gathered([ws.reset() for ws in sockets])
        await served.stop()
        assert journal.count("close") == 4


@requirement("compat:lifespan")
async def test_the_authors_lifespan_runs_around_the_environments() -> None:
    journal = Journal()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        journal.note("up")
        yield
        journal.note("down")

    app = FastAPI(lifespan=lifespan)
    HTTPEnvServer(recording(journal), Say, Said).register_routes(app)
    async with serving(app) as served, opened(served.url) as ws:
        assert journal.count("up") == 1
        await ws.reset()
        await served.stop()
        assert journal.count("close") == 1
    assert journal.count("down") == 1


class Counts:
    """An author's middleware that looks at every message of a WebSocket."""

    def __init__(self, app: Any, journal: Journal) -> None:
        self._app, self._journal = app, journal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(event: Any) -> None:
            self._journal.note(event["type"])
            await send(event)

        await self._app(scope, receive, counted)


@requirement("compat:lifespan")
async def test_the_authors_middleware_sees_every_message() -> None:
    journal = Journal()
    app = create_app(recording(journal), Say, Said)
    app.add_middleware(Counts, journal=journal)
    async with serving(app) as served, opened(served.url) as ws:
        await ws.reset()
        await ws.step()
        assert journal.count("websocket.send") == 2


@requirement("compat:idle")
async def test_an_idle_session_ends_and_one_with_a_socket_does_not() -> None:
    journal = Journal()
    config = ConcurrencyConfig(max_concurrent_envs=2, session_timeout=1.5)
    app = create_app(recording(journal), Say, Said, concurrency_config=config)
    create = {"jsonrpc": "2.0", "id": 1, "method": "openenv/session/create"}
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as http:
        one = (await http.post("/mcp", json=create)).json()["result"]["session_id"]
        async with opened(served.url, f"/ws?session_id={one}") as ws:
            two = (await http.post("/mcp", json=create)).json()["result"]["session_id"]
            await journal.until("close", 1)
            assert (await ws.reset())["type"] == "observation"
            gone = (
                await http.post("/mcp", json=create | {"method": "tools/list", "params": {"session_id": two}})
            ).json()
            assert gone["error"]["message"] == f"Unknown session_id: {two}"
        await journal.until("close", 2)
        async with opened(served.url) as ws:
            await ws.reset()
            with pytest.raises(ConnectionClosed):
                await ws.hear()
        assert journal.count("close") == 3


@pytest.fixture
def token() -> Iterator[str]:
    settings.override({"token": Given("secret-token", COMMAND_LINE)})
    yield "secret-token"
    settings.override({})


@requirement("compat:guard")
async def test_the_token_is_wanted_for_the_authors_routes_too(token: str) -> None:
    app = create_app(recording(Journal()), Say, Said)

    @app.get("/own")
    def own() -> str:
        return "own"

    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/own")).status_code == 401
        assert (await http.post("/reset")).status_code == 401
        with pytest.raises(InvalidStatus, match="401"):
            async with opened(served.url):
                pass
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await http.get("/own", headers=bearer)).text == '"own"'
        async with opened(served.url, additional_headers=bearer) as ws:
            assert (await ws.reset())["type"] == "observation"


@requirement("compat:guard")
async def test_pages_of_other_origins_need_the_authors_cors() -> None:
    refused, allowed = (create_app(recording(Journal()), Say, Said) for _ in range(2))
    allowed.add_middleware(CORSMiddleware, allow_origins=["https://play.example"])
    page = {"Origin": "https://play.example"}
    async with serving(refused) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.post("/reset", headers=page)).status_code == 403
    async with serving(allowed) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.post("/reset", headers=page)).status_code == 200
        assert (await http.post("/reset", headers={"Origin": "https://other.example"})).status_code == 403
        async with opened(served.url, origin="https://play.example") as ws:
            assert (await ws.reset())["type"] == "observation"


@requirement("compat:setup")
def test_what_cannot_be_served_is_refused_at_once() -> None:
    env = recording(Journal())
    with pytest.raises(TypeError, match="pass the environment's class"):
        create_app(env(), Say, Said)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid mode: 'fast'. Must be one of: \\['simulation', 'production'\\]"):
        create_app(env, Say, Said, mode="fast")
    with pytest.raises(ValueError, match="Cannot specify both"):
        create_app(env, Say, Said, max_concurrent_envs=1, concurrency_config=ConcurrencyConfig())
    alone = recording(Journal(), SUPPORTS_CONCURRENT_SESSIONS=False)
    for factory in (alone, lambda: alone()):
        with pytest.raises(ConcurrencyConfigurationError, match="Recording.*max_concurrent_envs=2"):
            create_app(factory, Say, Said, max_concurrent_envs=2)


@requirement("compat:setup")
async def test_a_server_says_how_many_sessions_it_has() -> None:
    server = HTTPEnvServer(recording(Journal()), Say, Said, max_concurrent_envs=2)
    app = FastAPI()
    server.register_routes(app)
    assert server.is_concurrency_safe
    async with serving(app) as served, opened(served.url) as ws:
        await ws.reset()
        await ws.step()
        status = server.get_capacity_status()
        assert (status.active_sessions, status.available_slots, status.is_at_capacity) == (1, 1, False)
        own = await ws.say({"type": "mcp", "data": {"jsonrpc": "2.0", "method": "openenv/session/create"}})
        info = server.get_session_info(own["data"]["result"]["session_id"])
        assert info is not None and info.environment_type == "Recording" and info.step_count == 1
        assert server.get_session_info("nobody") is None


@requirement("compat:mounted")
async def test_two_apps_under_prefixes_close_their_environments_without_a_lifespan() -> None:
    journal = Journal()
    outer = FastAPI()
    outer.mount("/one", create_app(recording(journal), Say, Said))
    outer.mount("/two", create_app(recording(journal), Say, Said))
    async with serving(outer) as served, opened(served.url, "/one/ws") as one, opened(served.url, "/two/ws") as two:
        assert (await one.reset())["type"] == (await two.reset())["type"] == "observation"
        await served.stop()
    await bounded(asyncio.sleep(0))
    await journal.until("close", 2)
