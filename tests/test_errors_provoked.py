"""Every error that a trainer can meet, brought about for real: its text says what to do, its session is as said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from requirements import requirement
from support.play_env import AsyncPlay, Play, PlayAction, PlayObservation, PlayState, play_app
from support.servers import Journal, Served, bounded, serving
from test_errors_table import rows

from openenv_async import AsyncEnv, Limits, create_app
from openenv_async.errors import EnvError, StepTimeout

SOON_S = 0.05
SESSION = {name: session for _, name, _, _, session, _ in rows("The table")}


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


class World:
    """A server, a client that has begun an episode on it, and what keeps both."""

    def __init__(self, journal: Journal, served: Served, env: PlayEnv, stack: AsyncExitStack) -> None:
        self.journal, self.served, self.env, self.stack = journal, served, env, stack

    async def another(self, **options: Any) -> PlayEnv:
        return await self.stack.enter_async_context(PlayEnv(self.served.url, **options))


@asynccontextmanager
async def world(execution: Any = "inline", **options: Any) -> AsyncIterator[World]:
    journal = Journal()
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(play_app(journal, execution, **options)))
        env = await stack.enter_async_context(PlayEnv(served.url))
        await env.reset()
        stack.callback(journal.open_gate, "step")
        yield World(journal, served, env, stack)


async def one_that_is_in_the_way(at: World) -> None:
    playing = asyncio.ensure_future(at.env.step(PlayAction(op="wait")))
    await at.journal.until("waiting")
    try:
        await at.env.step(PlayAction())
    finally:
        at.journal.open_gate("step")
        await playing


async def from_another_loop(at: World) -> None:
    await asyncio.to_thread(asyncio.run, at.env.step(PlayAction()))


async def after_the_server(at: World) -> None:
    await at.served.stop()
    await at.env.step(PlayAction())


async def after_a_hang(at: World) -> None:
    with pytest.raises(StepTimeout):
        await at.env.step(PlayAction(op="wait"), timeout_s=SOON_S)
    await at.env.step(PlayAction())


async def to_nobody(at: World) -> None:
    await at.served.stop()
    await PlayEnv.connect(at.served.url, connect_timeout_s=1)


async def before_a_reset(at: World) -> None:
    await (await at.another()).step(PlayAction())


async def after_close(at: World) -> None:
    other = await at.another()
    await other.close()
    await other.step(PlayAction())


def step(**action: Any) -> Callable[[World], Awaitable[Any]]:
    return lambda at: at.env.step(PlayAction(**action))


Provoke = Callable[[World], Awaitable[Any]]

ANYWHERE: dict[str, tuple[Provoke, str]] = {
    "NotConnected": (
        lambda at: PlayEnv(at.served.url).step(PlayAction()),
        r"use `async with` or await PlayEnv.connect",
    ),
    "NotReset": (before_a_reset, r"await reset\(\) to begin"),
    "ClientClosed": (after_close, "make a new PlayEnv"),
    "SessionBusy": (one_that_is_in_the_way, "await that first, or use one PlayEnv per concurrent episode"),
    "WrongLoop": (from_another_loop, "make one in this loop, or use SyncEnv"),
    "InvalidPayload": (step(path=[{"x": "far"}]), r"expected `float`, got `str` at `path\[0\].x`"),
    "PayloadTooLarge": (step(op="huge", value=3000), r"limit is 2,000 bytes \(max_message_bytes\)"),
    "EnvironmentFailed": (step(op="raise"), r"ValueError: the pot is empty \[error \w+ in the server's log\]"),
    "UnencodableValue": (step(op="object"), "value.deep"),
    "StepTimeout": (
        lambda at: at.env.step(PlayAction(op="wait"), timeout_s=SOON_S),
        "the session can go on|call reset",
    ),
    "CapacityError": (
        lambda at: PlayEnv.connect(at.served.url),
        "try again later, or raise the server's --max-sessions",
    ),
    "SessionLost": (after_the_server, r"call reset\(\) for a new session"),
    "ConnectFailed": (to_nobody, "is an environment server running there"),
}
IN_THREADS = {"StepTimeout": ANYWHERE["StepTimeout"], "SessionBroken": (after_a_hang, r"call reset\(\)")}

CASES = [(name, "inline", *case) for name, case in ANYWHERE.items()]
CASES += [(name, "thread", *case) for name, case in IN_THREADS.items()]


@requirement("errors:documented", "errors:next-step")
@pytest.mark.parametrize(
    ("name", "execution", "provoke", "text"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
async def test_an_error_says_what_to_do_and_leaves_what_the_page_says(
    name: str, execution: str, provoke: Provoke, text: str
) -> None:
    limits = Limits(max_sessions=1, queue_timeout_s=0, max_message_bytes=2000)
    if name in ("NotReset", "ClientClosed"):
        limits = Limits(max_sessions=2)
    async with world(execution, limits=limits) as at:
        with pytest.raises(EnvError, match=text) as raised:
            await bounded(provoke(at))
        # Those that share a code arrive as the class that introduced it.
        assert type(raised.value).__name__ == ("EnvironmentFailed" if name == "UnencodableValue" else name)
        session = SESSION[name]
        usable = session in ("lives", "unchanged")
        if isinstance(raised.value, StepTimeout):
            usable = raised.value.session_usable
        if name in ("NotConnected", "ClientClosed", "CapacityError"):
            usable = True  # they are about another client
        if name == "ConnectFailed":
            return
        assert at.env.connected is usable
        if usable:
            before = (await bounded(at.env.state())).total
            assert (await bounded(at.env.step(PlayAction(n=1)))).observation.total == before + 1
            return
        with pytest.raises(EnvError, match=r"call reset\(\)"):
            await bounded(at.env.step(PlayAction()))


@requirement("errors:next-step")
async def test_a_stopping_server_a_missing_token_and_a_broken_factory_say_what_to_do() -> None:
    async def refused(app: Any, text: str, name: str) -> None:
        async with serving(app) as served:
            with pytest.raises(EnvError, match=text) as raised:
                await bounded(PlayEnv.connect(served.url))
            assert type(raised.value).__name__ == name

    def broken() -> Play:
        raise OSError("no data")

    await refused(play_app(Journal(), token="secret"), r"give its token as token=", "Unauthorized")
    text = r"OSError was raised \[error \w+ in the server's log\]"
    await refused(create_app(broken, PlayAction, PlayObservation), text, "FactoryError")
    closing = create_app(lambda: AsyncPlay(Journal()), PlayAction, PlayObservation)
    async with serving(closing) as served:
        closing.server.registry.closing = True
        with pytest.raises(EnvError, match="connect again when it is back") as raised:
            await bounded(PlayEnv.connect(served.url, connect_timeout_s=1))
        assert type(raised.value).__name__ == "ServerClosing"
