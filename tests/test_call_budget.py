"""How many of this project's own Python functions one warm step calls: a budget, which no clock can miss.

Client and server share a process and a real loopback socket, so a count is the client's way out, the server's, and
the client's way in. HTTP is the server's part alone: its client is another project's. A count that rises fails;
one that falls is a new budget. `python tests/test_call_budget.py native` lists the calls of one step in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

import httpx
import pytest
from support.servers import gathered, serving

from openenv_async import Action, AsyncEnv, Environment, Observation, State, create_app
from openenv_async.runtime import session, threads
from openenv_async.server.app import EnvApp

ROOT = Path(__file__).parents[1]
OURS = tuple(str(ROOT / name) for name in ("openenv_async", "openenv_sync"))

WARM, ROUNDS, STEPS = 30, 5, 10


class Add(Action):
    n: int = 0


class Total(Observation):
    total: int = 0


class AsyncAdder(Environment[Add, Total, State]):
    """Waits for nothing: what is counted is the way to it and back."""

    def __init__(self) -> None:
        self.total = 0

    async def reset(self, seed: int | None = None, episode_id: str | None = None) -> Total:
        self.total = 0
        return Total()

    async def step(self, action: Add) -> Total:
        self.total += action.n
        return Total(total=self.total, reward=1.0)

    @property
    def state(self) -> State:
        return State()


class Adder(Environment[Add, Total, State]):
    """The same in a thread or a process."""

    def __init__(self) -> None:
        self.total = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Total:
        self.total = 0
        return Total()

    def step(self, action: Add) -> Total:
        self.total += action.n
        return Total(total=self.total, reward=1.0)

    @property
    def state(self) -> State:
        return State()


class Counter:
    """Counts the calls of functions whose code is in this project's packages, in every thread begun within it."""

    def __init__(self) -> None:
        self.calls = 0
        self.on = False
        self.trace: list[str] | None = None
        self._ours: dict[str, bool] = {}

    def _heard(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not self.on:
            return
        code = frame.f_code
        ours = self._ours.get(code.co_filename)
        if ours is None:
            ours = self._ours[code.co_filename] = code.co_filename.startswith(OURS)
        if ours:
            self.calls += 1
            if self.trace is not None:
                file = code.co_filename.partition("openenv_")[2]
                self.trace.append(f"{file}:{frame.f_lineno} {code.co_qualname}")

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Hear of calls in this thread and in those that begin from now on; counted are those while `on`."""
        before = sys.getprofile(), threading.getprofile()
        sys.setprofile(self._heard)
        threading.setprofile(self._heard)
        try:
            yield
        finally:
            sys.setprofile(before[0])
            threading.setprofile(before[1])


Turn = Callable[[], Awaitable[object]]
"""One step of each session there is."""


@contextlib.asynccontextmanager
async def sessions(
    env_cls: Callable[[], Any], count: int, wire: Literal["native", "json"], **options: Any
) -> AsyncIterator[Turn]:
    app: EnvApp = create_app(env_cls, Add, Total, "adder", max_concurrent_envs=count + 1, **options)
    async with serving(app) as served, contextlib.AsyncExitStack() as stack:
        envs = [await stack.enter_async_context(AsyncEnv(served.url, wire=wire)) for _ in range(count)]
        await gathered([env.reset() for env in envs])
        action = {"n": 1}
        if count == 1:
            yield partial(envs[0].step, action)
        else:
            yield lambda: gathered([env.step(action) for env in envs])


@contextlib.asynccontextmanager
async def over_http() -> AsyncIterator[Turn]:
    app: EnvApp = create_app(AsyncAdder, Add, Total, "adder")
    async with serving(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.post("/reset", json={})
        headers = {"x-session-id": answer.headers["x-session-id"]}

        async def step() -> None:
            answer = await client.post("/step", json={"action": {"n": 1}}, headers=headers)
            assert answer.status_code == 200, answer.text

        yield step


class Way(NamedTuple):
    """One kind of step."""

    setting: Callable[[], contextlib.AbstractAsyncContextManager[Turn]]
    budget: float
    sessions: int = 1


WAYS = {
    "native": Way(partial(sessions, AsyncAdder, 1, "native"), 48),
    "native, 32 sessions": Way(partial(sessions, AsyncAdder, 32, "native"), 30, 32),
    "json": Way(partial(sessions, AsyncAdder, 1, "json"), 57),
    "thread": Way(partial(sessions, Adder, 1, "native", execution="thread"), 54),
    "process": Way(partial(sessions, Adder, 1, "native", execution="process"), 55),
    "http": Way(over_http, 56),
}
"""The budgets are calls per step, as low as they have been."""


@contextlib.contextmanager
def always_quick() -> Iterator[None]:
    """Count every step as a quick one, as these are when nobody counts: the way they take is not up to the clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "QUICK_S", math.inf)
        patch.setattr(threads, "QUICK_S", math.inf)
        yield


async def measured(way: Way, trace: list[str] | None = None) -> float:
    """The calls per step; the least of some rounds, since a timer of ours may fire within one."""
    counter = Counter()
    least = sys.float_info.max
    with always_quick(), counter.installed():
        async with way.setting() as turn:
            for _ in range(WARM):
                await turn()
            for _ in range(ROUNDS):
                await asyncio.sleep(0.01)
                counter.calls, counter.on = 0, True
                for _ in range(STEPS):
                    await turn()
                counter.on = False
                least = min(least, counter.calls / STEPS / way.sessions)
            if trace is not None:
                counter.trace, counter.on = trace, True
                await turn()
                await turn()
                counter.on = False
    return least


@pytest.mark.parametrize("name", WAYS)
def test_a_step_takes_no_more_calls_than_its_budget(name: str) -> None:
    # A loop of its own, and without debug mode: both decide what is called.
    calls = asyncio.run(measured(WAYS[name]))
    assert calls <= WAYS[name].budget, f"{calls:g} calls per step"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or WAYS:
        lines: list[str] = []
        told = [f"{chosen}: {asyncio.run(measured(WAYS[chosen], lines)):g} calls per step"]
        told += lines[len(lines) // 2 :] if sys.argv[1:] else []
        sys.stdout.write("\n".join(told) + "\n")
