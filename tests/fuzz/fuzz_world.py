"""A served app for a whole test, with its own loop, and witnesses beside whom the fuzzing is done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import psutil
import pytest
from support.play_env import play_app
from support.raw_clients import RawClient, RawJson, RawNative, raw_json, raw_native
from support.servers import BOUND_S, Journal, serving

World = tuple[str, "Witnesses"]


class Witnesses:
    """Sessions on connections of their own, one for each wire, that count by one."""

    def __init__(self, native: RawNative, json: RawJson) -> None:
        self._clients: tuple[RawClient, ...] = native, json
        self._totals = [0, 0]

    async def begin(self) -> None:
        for client in self._clients:
            await client.reset()

    async def go_on(self) -> None:
        """Step each: nothing that others send may have touched them."""
        for at, client in enumerate(self._clients):
            self._totals[at] += 1
            assert (await client.step(n=1)).total == self._totals[at]


async def _alone(port: int) -> None:
    """Return when the server holds no connection but the witnesses'."""
    me = psutil.Process()
    for _ in range(100 * round(BOUND_S)):
        held = [c for c in me.net_connections("tcp") if c.laddr and c.laddr.port == port and c.raddr]
        if len(held) == 2:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(held)} connections are left: {held[:5]}")


@contextlib.asynccontextmanager
async def _world(**options: Any) -> AsyncIterator[World]:
    app = play_app(Journal(), **options)
    async with serving(app) as served, raw_native(served.url) as native, raw_json(served.url) as json:
        witnesses = Witnesses(native, json)
        await witnesses.begin()
        yield served.url, witnesses
        await witnesses.go_on()
        await _alone(served.port)


@contextlib.contextmanager
def fuzzed(**options: Any) -> Iterator[Callable[[Callable[[str, Witnesses], Coroutine[Any, Any, None]]], None]]:
    """Give what runs one example in the world: hypothesis is not async."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        url, witnesses = runner.run(stack.enter_async_context(_world(**options)))
        try:
            yield lambda example: runner.run(example(url, witnesses))
        except BaseException:
            runner.run(stack.__aexit__(*sys.exc_info()))
            raise
        runner.run(stack.aclose())


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what the log calls an error, other than what an environment raised: that is written down, and no bug."""
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [text for text in (record.getMessage() for record in errors) if " of session " not in text]
