"""What the tests of resumption share: a served environment behind a forwarder, and clients of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.forwarder import Forwarder, forwarding
from support.play_env import Execution, PlayAction, PlayObservation, PlayState, play_app
from support.servers import BOUND_S, Journal, serving

from openenv_async import AsyncEnv, Limits
from openenv_async.runtime.registry import Registry
from openenv_async.server.app import EnvApp


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


class Bench:
    """One server, its environments' journal, and the way to it that can be cut."""

    def __init__(self, app: EnvApp, journal: Journal, way: Forwarder) -> None:
        self.app, self.journal, self.way = app, journal, way

    @property
    def registry(self) -> Registry:
        return self.app.server.registry

    @property
    def url(self) -> str:
        return self.way.url

    async def playing(self, start: int = 0, **options: Any) -> PlayEnv:
        """A client that has reset once."""
        env = PlayEnv(self.url, **options)
        await env.connect()
        assert (await env.reset(start=start)).observation.total == start
        return env

    async def until_detached(self, count: int = 1) -> None:
        """Return when so many sessions wait for their client; the server has noticed then."""
        await _until(lambda: len(self.registry.detached) == count)

    async def until_empty(self) -> None:
        """Return when no slot is taken."""
        await _until(lambda: not self.registry.active)


async def _until(true: Callable[[], bool]) -> None:
    """Look again in every turn of the loop: a server keeps no events for its tests."""
    async with asyncio.timeout(BOUND_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def bench(execution: Execution = "inline", **limits: Any) -> AsyncIterator[Bench]:
    journal = Journal()
    app = play_app(journal, execution, limits=Limits(**limits))
    async with serving(app) as served, forwarding(served.port) as way:
        yield Bench(app, journal, way)


async def step(env: PlayEnv, n: int = 1, **fields: Any) -> int:
    """Play one action; gives the total."""
    return (await env.step(PlayAction(n=n, **fields))).observation.total
