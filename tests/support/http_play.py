"""What the HTTP tests share: a server, a client of it, and the journal of its environments."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx

from openenv_async.server.app import EnvApp
from support.play_env import Execution, play_app
from support.servers import BOUND_S, Journal, Served, serving

SESSION = "x-session-id"


class Http(NamedTuple):
    client: httpx.AsyncClient
    journal: Journal
    app: EnvApp
    served: Served

    async def begin(self, **arguments: Any) -> dict[str, str]:
        """Reset, and give the header that plays on with that session."""
        answer = await self.client.post("/reset", json=arguments)
        assert answer.status_code == 200, answer.text
        return {SESSION: answer.headers[SESSION]}

    async def step(self, headers: dict[str, str], **action: Any) -> httpx.Response:
        return await self.client.post("/step", json={"action": action}, headers=headers)

    @property
    def active(self) -> int:
        return self.app.server.registry.active


@contextlib.asynccontextmanager
async def http(execution: Execution = "inline", app: EnvApp | None = None, **options: Any) -> AsyncIterator[Http]:
    journal = Journal()
    app = app or play_app(journal, execution, **options)
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url, timeout=BOUND_S) as client:
        yield Http(client, journal, app, served)
