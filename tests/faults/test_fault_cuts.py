"""Sockets that are cut anywhere, processes that stand still: every step is done once, and its own result arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from conftest import TEST_ALL
from players import known, players
from requirements import requirement
from server_process import ServerProcess, server_process
from support.fault_plans import Cuts, drawn, healthy, seeded
from support.fault_proxy import Proxy
from support.servers import bounded

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["uvloop"])]

SESSIONS, CUTS = 200, 1000
FEWER_CUTS = CUTS if TEST_ALL else 200
PAUSES = 15 if TEST_ALL else 4
CLIENT = Path(__file__).with_name("client_process.py")
MOST_BYTES = 20_000
LONGEST_S = 60.0

Pauser = Callable[[signal.Signals], None]
Meanwhile = Callable[[], Coroutine[Any, Any, None]]


def cuts_of(proxy: Proxy) -> int:
    return proxy.counts["reset"] + proxy.counts["finish"]


async def settled(server: ServerProcess, counted: dict[str, int]) -> None:
    """See that the server executed what the clients counted, and that every session has ended."""
    seen = await server.until("sessions", 0)
    assert seen["executed"] == counted
    assert seen["counts"]["built"] == seen["counts"]["closed"] == seen["counts"]["resets"] == SESSIONS


async def play_here(proxy: Proxy, seed: int, cuts: int, meanwhile: Meanwhile) -> dict[str, int]:
    """Play in this process until there have been so many cuts; gives what the clients counted."""
    async with players(proxy.url, SESSIONS) as made:
        proxy.arm(Cuts(seed, most_bytes=MOST_BYTES, times=10**9))
        pausing = asyncio.create_task(meanwhile())
        try:

            def over() -> bool:
                return cuts_of(proxy) >= cuts and pausing.done()

            calls = [player.play(over, drawn(seed, -at)) for at, player in enumerate(made)]
            await bounded(asyncio.gather(*calls), LONGEST_S)
            await pausing
        finally:
            pausing.cancel()
        proxy.arm(healthy)
        return known(made)


async def nothing() -> None:
    pass


async def standing_still(proxy: Proxy, send: Pauser, draw: random.Random) -> None:
    """Stop and go on, again and again; while it stands still, connections are cut under it."""
    try:
        for _ in range(PAUSES):
            send(signal.SIGSTOP)
            await asyncio.sleep(draw.uniform(0.05, 0.3))
            proxy.cut(draw.choice(["reset", "finish"]))
            await asyncio.sleep(draw.uniform(0.0, 0.1))
            send(signal.SIGCONT)
            await asyncio.sleep(draw.uniform(0.1, 0.5))
    finally:
        send(signal.SIGCONT)


@requirement("faults:cuts")
async def test_a_thousand_cuts_over_two_hundred_sessions() -> None:
    with seeded() as seed:
        async with server_process(chunk_bytes=2000) as server:
            with Proxy(server.address) as proxy:
                counted = await play_here(proxy, seed, CUTS, nothing)
                assert cuts_of(proxy) >= CUTS
            await settled(server, counted)


@requirement("faults:paused")
async def test_cuts_and_a_server_that_stands_still_now_and_then() -> None:
    with seeded() as seed:
        async with server_process(chunk_bytes=2000) as server:
            with Proxy(server.address) as proxy:
                send, draw = server.process.send_signal, drawn(seed, 0)
                counted = await play_here(proxy, seed, FEWER_CUTS, lambda: standing_still(proxy, send, draw))
            await settled(server, counted)


@requirement("faults:paused")
async def test_cuts_and_a_client_that_stands_still_now_and_then() -> None:
    with seeded() as seed:
        async with server_process(chunk_bytes=2000) as server:
            with Proxy(server.address) as proxy:
                counted = await _play_there(proxy, seed)
            await settled(server, counted)


async def _play_there(proxy: Proxy, seed: int) -> dict[str, int]:
    """Play in another process, and stop that one."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, str(CLIENT), proxy.url, str(SESSIONS), str(seed)]
    client = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert client.stdin is not None
    assert client.stdout is not None
    try:
        assert await bounded(client.stdout.readline(), LONGEST_S) == b"ready\n"
        proxy.arm(Cuts(seed, most_bytes=MOST_BYTES, times=10**9))
        await bounded(standing_still(proxy, client.send_signal, drawn(seed, 0)), LONGEST_S)
        proxy.arm(healthy)
        client.stdin.close()
        said, _ = await bounded(client.communicate(), LONGEST_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            client.kill()
        await bounded(client.wait())
    assert said, "the clients' process failed; see its errors above"
    found = json.loads(said)
    assert found["wrong"] == []
    counted: dict[str, int] = found["known"]
    return counted
