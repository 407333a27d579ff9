"""The same app, unchanged, under uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from requirements import requirement
from support.play_env import PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, bounded

from openenv_async import AsyncEnv
from openenv_async.errors import EnvironmentFailed, Unauthorized


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


class Server(uvicorn.Server):
    """One that leaves the signals to the tests and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextlib.asynccontextmanager
async def under_uvicorn(app: Any, ws: Any) -> AsyncIterator[str]:
    server = Server(uvicorn.Config(app, port=0, ws=ws, log_level="warning", timeout_graceful_shutdown=5))
    task = asyncio.create_task(server.serve())
    await bounded(server.listens.wait())
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await bounded(task)


@requirement("server:uvicorn")
@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
@pytest.mark.parametrize("execution", ["inline", "thread"])
async def test_both_wires_and_http(ws: Any, execution: Any) -> None:
    journal = Journal()
    async with under_uvicorn(play_app(journal, execution, token="t"), ws) as url:
        for wire in ("native", "json"):
            with pytest.raises(Unauthorized):
                await bounded(PlayEnv.connect(url, wire=wire))
            async with PlayEnv(url, wire=wire, token="t") as env:
                await env.reset(start=1)
                assert (await env.step(PlayAction(n=2))).observation.total == 3
                with pytest.raises(EnvironmentFailed):
                    await env.step(PlayAction(op="exit"))
                assert (await env.step(PlayAction(op="huge", value=2_000_000))).observation.total == 3
                assert (await env.state()).total == 3
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer t"}) as http:
            assert (await http.get("/health")).json() == {"status": "healthy"}
            began = await http.post("/reset", json={"start": 5})
            session = {"x-session-id": began.headers["x-session-id"]}
            assert (await http.post("/step", json={"action": {"n": 1}}, headers=session)).json()["reward"] == 1.0
            assert (await http.get("/state", headers=session)).json()["total"] == 6
    assert journal.count("built") == journal.count("closed") == 3


@requirement("server:uvicorn", "close:server-stops")
@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_it_stops_with_clients_connected(ws: Any) -> None:
    journal = Journal()
    async with under_uvicorn(play_app(journal), ws) as url:
        envs = [await PlayEnv.connect(url, wire=wire) for wire in ("native", "json")]
        for env in envs:
            await env.reset()
    assert journal.count("closed") == 2
    for env in envs:
        await env.close()
