"""Being alive is not making progress: connections stay up while environments work and while nothing is said."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from requirements import requirement
from support import PROGRAMS
from support.idle_proxy import IdleProxy, idle_proxy
from support.programs.pinged_server import AsyncWork, Work, WorkAction, WorkObservation, work_app
from support.raw_clients import raw_native, raw_socket
from support.servers import BOUND_S, bounded, serving

from openenv_async import AsyncEnv, State
from openenv_async.server.runner import ServeOptions
from openenv_async.transport.address import Address
from openenv_async.transport.link import Link, LinkClosed
from openenv_async.transport.network import connect_link
from openenv_async.transport.proxy_client import open_proxy_link
from openenv_async.transport.ws_protocol import KeepAlive

IDLE_S, PING_S, WORK_S, NEVER_S = 0.9, 0.6, 1.6, 3600.0
"""The proxies' 30 s, our 20 s and a step of some minutes, all much shorter."""

LINKS = pytest.mark.parametrize("open_it", [connect_link, open_proxy_link], ids=["direct", "httpx-ws"])
Open = Callable[[Address], Any]


class WorkEnv(AsyncEnv[WorkAction, WorkObservation, State]):
    pass


@contextlib.asynccontextmanager
async def proxied(cls: type[Work], server_pings_s: float) -> AsyncIterator[IdleProxy]:
    options = ServeOptions(grace_s=0.5, linger_s=0.5, ping_interval_s=server_pings_s)
    async with serving(work_app(cls), options=options) as served, idle_proxy(served.port, IDLE_S) as proxy:
        yield proxy


async def work_behind_a_proxy(cls: type[Work], wire: Any, client_s: float, server_s: float) -> tuple[int, int]:
    """Play through a proxy with a long step and a long pause; gives how often it dropped, and the steps played."""
    async with proxied(cls, server_s) as proxy, WorkEnv(proxy.url, wire=wire, ping_interval_s=client_s) as env:
        await env.reset()
        await env.step(WorkAction(seconds=WORK_S))
        await asyncio.sleep(1.5 * IDLE_S)  # a policy that thinks
        steps = (await env.step(WorkAction())).observation.steps
        return proxy.dropped, steps


@requirement("alive:idle-proxy")
@pytest.mark.parametrize(("client_s", "server_s"), [(PING_S, NEVER_S), (NEVER_S, PING_S)], ids=["client", "server"])
async def test_the_pings_of_either_end_are_enough_for_a_proxy_that_drops_what_is_idle(
    client_s: float, server_s: float
) -> None:
    cases = [(cls, wire) for cls in (Work, AsyncWork) for wire in ("native", "json")]
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        played = [group.create_task(work_behind_a_proxy(cls, wire, client_s, server_s)) for cls, wire in cases]
    assert [one.result() for one in played] == [(0, 2)] * len(cases)


async def test_the_proxy_of_these_tests_does_drop_what_is_idle() -> None:
    async with proxied(AsyncWork, NEVER_S) as proxy:
        async with raw_socket(proxy.url, native=False, ping_interval=None) as socket:
            await bounded(socket.wait_closed())
        assert (proxy.carried, proxy.dropped) == (1, 1)


@requirement("alive:idle-proxy")
@LINKS
async def test_every_link_of_the_client_pings_by_itself(open_it: Open) -> None:
    async with proxied(AsyncWork, NEVER_S) as proxy:
        link: Link = await open_it(Address(url=f"{proxy.url}/ws", ping_interval_s=PING_S))
        await asyncio.sleep(2 * IDLE_S)
        assert proxy.dropped == 0
        await speak(link, '{"type":"reset"}')
        await link.aclose()


@requirement("alive:long-steps")
@pytest.mark.parametrize("cls", [Work, AsyncWork], ids=["thread", "async"])
async def test_a_client_that_asks_often_whether_the_server_lives_is_answered_during_a_long_step(
    cls: type[Work],
) -> None:
    # The library that OpenEnv's own client stands on; it closes when a pong is late.
    impatient = {"ping_interval": 0.1, "ping_timeout": 0.5}
    async with serving(work_app(cls)) as served:
        async with (
            raw_socket(served.url, native=False, **impatient) as json,
            raw_native(served.url, **impatient) as native,
        ):
            await json.send('{"type":"reset"}')
            await bounded(json.recv())
            await native.reset()
            await json.send(f'{{"type":"step","data":{{"seconds":{WORK_S}}}}}')
            said = await native.step(seconds=WORK_S)
            assert said.body["steps"] == 1
            assert '"steps":1' in str(await bounded(json.recv()))


async def speak(link: Link, text: str) -> str:
    await bounded(link.send(text))
    answer = await bounded(link.receive())
    assert isinstance(answer, str)
    assert '"type":"observation"' in answer, answer
    return answer


@contextlib.contextmanager
def server_process(ping_s: float) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, str(PROGRAMS / "pinged_server.py"), str(ping_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert select.select([server.stdout], [], [], BOUND_S)[0], "the server did not start in time"
            yield server.stdout.readline().strip(), server
        finally:
            server.send_signal(signal.SIGCONT)
            server.kill()


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with server_process(PING_S) as started:
        yield started


@requirement("alive:busy-trainer")
@LINKS
async def test_a_trainer_that_holds_its_own_loop_loses_nothing(open_it: Open, process: Any) -> None:
    url, _ = process
    link: Link = await open_it(Address(url=f"{url}/ws", ping_interval_s=0.1, ping_timeout_s=0.1))
    await speak(link, '{"type":"reset"}')
    for steps in range(1, 4):
        # A ping leaves in one of these turns, and in the next its answer is here while the timer is overdue already.
        for _ in range(6):
            time.sleep(0.15)  # noqa: ASYNC251
            await asyncio.sleep(0)
        assert f'"steps":{steps}' in await speak(link, '{"type":"step","data":{}}')
    await link.aclose()


@requirement("alive:dead-peer")
@LINKS
async def test_a_server_that_stands_still_is_given_up_in_time(open_it: Open) -> None:
    with server_process(PING_S) as (url, server):
        link: Link = await open_it(Address(url=f"{url}/ws", ping_interval_s=0.2, ping_timeout_s=0.4))
        await speak(link, '{"type":"reset"}')
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(LinkClosed, match=r"nothing was heard from the server for 0\.\d+ s"):
            await bounded(link.receive(), 5)
        await bounded(link.aclose())


@requirement("alive:gil")
@LINKS
async def test_an_environment_that_holds_the_gil_is_borne_up_to_the_timeout(open_it: Open, process: Any) -> None:
    url, _ = process
    held = '{"type":"step","data":{"seconds":1.2,"holding_the_gil":true}}'
    patient: Link = await open_it(Address(url=f"{url}/ws", ping_interval_s=PING_S, ping_timeout_s=3.0))
    hasty: Link = await open_it(Address(url=f"{url}/ws", ping_interval_s=0.1, ping_timeout_s=0.3))
    await speak(patient, '{"type":"reset"}')
    await speak(hasty, '{"type":"reset"}')
    holding = asyncio.ensure_future(speak(patient, held))
    # The whole process stands still, and with it the answers to those who do nothing at all.
    with pytest.raises(LinkClosed, match="nothing was heard"):
        await bounded(hasty.receive())
    assert '"steps":1' in await bounded(holding)
    assert '"steps":2' in await speak(patient, '{"type":"step","data":{}}')
    await patient.aclose()
    await hasty.aclose()


class Pings:
    """Counts pings; a test waits for so many."""

    def __init__(self, wanted: int) -> None:
        self.times: list[float] = []
        self.wanted = wanted
        self.enough = asyncio.Event()
        self.given_up: list[float] = []

    def __call__(self) -> None:
        self.times.append(asyncio.get_running_loop().time())
        if len(self.times) == self.wanted:
            self.enough.set()

    def give_up(self, seconds: float) -> None:
        self.given_up.append(seconds)
        self.enough.set()


@requirement("alive:idle-proxy")
async def test_a_ping_leaves_in_every_interval_whatever_is_heard() -> None:
    pings = Pings(6)
    alive = KeepAlive(pings, pings.give_up)
    alive.start(0.1, 0.1)
    async with asyncio.timeout(BOUND_S):
        while not pings.enough.is_set():
            alive.heard = True
            await asyncio.sleep(0.01)
    alive.stop()
    assert len(pings.times) >= 6
    assert pings.given_up == []


@requirement("alive:dead-peer")
async def test_silence_is_believed_after_the_timeout_and_never_without_one() -> None:
    strict, lenient = Pings(100), Pings(8)
    one, other = KeepAlive(strict, strict.give_up), KeepAlive(lenient, lenient.give_up)
    one.start(0.1, 0.3)
    other.start(0.1, math.inf)
    await bounded(strict.enough.wait())
    assert strict.given_up == [pytest.approx(0.3)]
    await bounded(lenient.enough.wait())
    assert (len(strict.given_up), lenient.given_up) == (1, [])
    other.stop()
    other.stop()
