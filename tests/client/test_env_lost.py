"""Servers that end, are killed and come back: step and state say SessionLost, reset() goes on in a new session."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from requirements import requirement
from support import PROGRAMS
from support.play_env import PlayAction, PlayObservation, PlayState, play_app
from support.servers import BOUND_S, Journal, bounded, serving

from openenv_async import AsyncEnv
from openenv_async.errors import CapacityError, ConnectFailed, FactoryError, SessionLost

WIRES = pytest.mark.parametrize("wire", ["native", "json"])
SERVED = PROGRAMS / "killed_server.py"


class PlayEnv(AsyncEnv[PlayAction, PlayObservation, PlayState]):
    pass


@contextlib.asynccontextmanager
async def server_process(port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """`openenv serve` in a process of its own, to be killed."""
    command = [sys.executable, "-m", "openenv_async.cli", "serve", f"{SERVED}:app", "--port", str(port)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    assert process.stdout is not None
    try:
        said: list[str] = []
        while True:
            line = (await bounded(process.stdout.readline())).decode()
            assert line, f"the server ended: {said}"
            said.append(line)
            if "http://127.0.0.1:" in line:
                port = int(line.partition("http://127.0.0.1:")[2].split()[0].rstrip(".,"))
                break
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await bounded(process.communicate())


@requirement("session:fails-loudly", "client:reset-reopens")
@WIRES
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_server_that_is_killed_and_started_again(wire: Any) -> None:
    async with server_process() as (process, port):
        async with (
            PlayEnv(f"http://127.0.0.1:{port}", wire=wire) as env,
            PlayEnv(f"127.0.0.1:{port}", wire=wire) as two,
        ):
            for each in (env, two):
                await each.reset(start=5)
                assert (await each.step(PlayAction(n=1))).observation.total == 6
            process.kill()
            await bounded(process.wait())
            with pytest.raises(SessionLost, match=r"gone .*call reset\(\) for a new session"):
                await bounded(env.step(PlayAction(n=1)))
            assert not env.connected
            with pytest.raises(ConnectFailed, match="is an environment server running there"):
                await bounded(env.reset())
            async with server_process(port):
                for _ in range(2):
                    with pytest.raises(SessionLost, match=r"reset\(\)"):
                        await bounded(env.step(PlayAction(n=1)))
                    with pytest.raises(SessionLost, match=r"reset\(\)"):
                        await bounded(env.state())
                assert (await bounded(env.reset(start=1))).observation.total == 1
                assert (await bounded(env.step(PlayAction(n=1)))).observation.total == 2
                assert (await env.state()).step_count == 1
                # The other has not been used since; its reset finds out by itself and goes on.
                assert (await bounded(two.reset(start=2))).observation.total == 2


@requirement("session:fails-loudly", "client:reset-reopens")
@WIRES
async def test_a_server_that_stopped_in_good_order_and_came_back(wire: Any) -> None:
    journal = Journal()
    async with serving(play_app(journal)) as first:
        env = await PlayEnv.connect(first.url, wire=wire)
        await env.reset()
        await first.stop()
    assert journal.count("closed") == 1
    for _ in range(2):
        with pytest.raises(SessionLost):
            await bounded(env.step(PlayAction(n=1)))
        with pytest.raises(SessionLost):
            await bounded(env.state())
    async with serving(play_app(journal), ("127.0.0.1", first.port)):
        assert (await bounded(env.reset())).observation.total == 0
        assert (await bounded(env.step(PlayAction(n=2)))).observation.total == 2
        await env.close()
    assert journal.count("closed") == 2


@requirement("session:fails-loudly", "client:reset-reopens")
@WIRES
async def test_an_idle_client_resets_at_once_after_a_restart(wire: Any) -> None:
    async with serving(play_app(Journal())) as first:
        env = await PlayEnv.connect(first.url, wire=wire)
        await env.reset()
    async with serving(play_app(Journal()), ("127.0.0.1", first.port)):
        assert (await bounded(env.reset(start=4))).observation.total == 4
        await env.close()


@requirement("server:one-cap")
@WIRES
async def test_a_full_server(wire: Any) -> None:
    from openenv_async import Limits

    limits = Limits(max_sessions=1, queue_timeout_s=0.05)
    async with serving(play_app(Journal(), limits=limits)) as served, PlayEnv(served.url) as holder:
        await holder.reset()
        env = PlayEnv(served.url, wire=wire)
        with pytest.raises(CapacityError, match="1/1 sessions active") as full:
            await bounded(_connect_and_reset(env))
        assert (full.value.active_sessions, full.value.max_sessions, full.value.retryable) == (1, 1, True)
        await holder.close()
        assert (await bounded(_connect_and_reset(env))).total == 0
        await env.close()


async def _connect_and_reset(env: PlayEnv) -> PlayObservation:
    await env.connect()
    return (await env.reset()).observation


@requirement("slot:freed")
async def test_native_clients_wait_their_turn_for_a_slot() -> None:
    async def play(url: str) -> int:
        async with PlayEnv(url) as env:
            await env.reset()
            return (await env.step(PlayAction(n=1))).observation.total

    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=3)) as served:
        totals = await asyncio.wait_for(asyncio.gather(*(play(served.url) for _ in range(40))), BOUND_S)
    assert totals == [1] * 40
    assert (journal.count("built"), journal.count("closed")) == (40, 40)


@WIRES
async def test_a_factory_that_fails(wire: Any) -> None:
    from openenv_async import create_app

    def broken() -> Any:
        raise LookupError("no licence at /secret/path")

    async with serving(create_app(broken, PlayAction, PlayObservation)) as served:
        env = PlayEnv(served.url, wire=wire)
        for _ in range(2):
            with pytest.raises(FactoryError, match="'broken' failed to create") as failed:
                await bounded(_connect_and_reset(env))
            assert failed.value.exception_type == "LookupError"
            assert "secret" not in str(failed.value.details)
        await env.close()
