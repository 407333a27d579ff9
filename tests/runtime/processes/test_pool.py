"""Spare processes, shared processes, and the limits of each."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from requirements import requirement
from support.risky_env import AsyncRisky, Risky, descendants, nothing_left, playing, risky_app, running
from support.servers import bounded, gathered
from support.shared_journal import SharedJournal, until

from openenv_async import AsyncEnv, ProcessOptions
from openenv_async.errors import CapacityError, EnvironmentCrashed, EnvironmentFailed, FactoryError, StepTimeout
from openenv_async.limits import Limits
from openenv_async.server.app import EnvApp

BOTH = pytest.mark.parametrize("cls", [Risky, AsyncRisky])
MIB = 2**20


def processes(app: EnvApp) -> Any:
    pool = app.server.processes
    assert pool is not None
    return pool


@requirement("process:warm")
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_session_begins_in_the_spare_process() -> None:
    async with running(risky_app(spare_processes=1)) as app:
        client: AsyncEnv[Any, Any, Any] = await AsyncEnv.connect(app)
        for _ in range(20):
            await until(lambda: processes(app).spare == 1, "no spare process")
            there = descendants()
            assert (await bounded(client.reset())).observation["pid"] in there
            with pytest.raises(EnvironmentCrashed):
                await client.step({"do": "exit"})
        await client.close()


@requirement("process:warm")
async def test_spare_processes_are_refilled_and_never_more_than_there_is_room_for() -> None:
    app = risky_app(limits=Limits(max_sessions=3, close_timeout_s=3.0), spare_processes=2)
    before = descendants()
    async with nothing_left(), running(app):
        await until(lambda: processes(app).spare == 2, "no spare processes")
        async with playing(app, 1):
            await until(lambda: processes(app).spare == 2, "not refilled")
            async with playing(app, 2):
                assert (processes(app).spare, processes(app).in_use) == (0, 3)
                # And the one that forks them.
                assert len(descendants() - before) == 4
                with pytest.raises(CapacityError):
                    async with playing(await _impatient(app)):
                        pass
            await until(lambda: processes(app).spare == 2, "not refilled after the end of two")


async def _impatient(app: EnvApp) -> EnvApp:
    object.__setattr__(app.server.limits, "queue_timeout_s", 0.0)
    return app


async def test_a_spare_process_that_dies_is_not_given_to_anybody() -> None:
    async with running(risky_app(spare_processes=2)) as app:
        await until(lambda: processes(app).spare == 2, "no spare processes")
        for process in list(processes(app)._spare):
            os.kill(process.pid, signal.SIGKILL)
        async with playing(app, 3) as clients:
            for client in clients:
                assert (await client.step({})).observation["count"] == 1


async def test_the_death_of_the_process_that_forks_them_is_survived() -> None:
    async with nothing_left(), running(risky_app()) as app, playing(app) as (client,):
        os.kill(processes(app)._fork_server._pid, signal.SIGKILL)
        with pytest.raises(EnvironmentCrashed):
            await bounded(client.step({"do": "sleep"}))
        assert (await bounded(client.reset())).observation["count"] == 0
        assert (await bounded(client.step({}))).observation["count"] == 1


async def test_sessions_that_begin_while_it_dies_begin_with_the_next_one() -> None:
    async with nothing_left(), running(risky_app(spare_processes=0)) as app:
        forking = processes(app)._fork_server._pid
        os.kill(forking, signal.SIGSTOP)
        connect: Callable[[Any], Coroutine[Any, Any, AsyncEnv[Any, Any, Any]]] = AsyncEnv.connect
        opening = [asyncio.create_task(connect(app)) for _ in range(5)]
        await until(lambda: len(processes(app)._waiting) == 5, "they do not wait for processes")
        os.kill(forking, signal.SIGKILL)
        for client in await gathered(opening):
            await bounded(client.reset())
            assert (await client.step({})).observation["count"] == 1
            await client.close()


@requirement("process:shared", "session:own-environment")
@BOTH
async def test_sessions_share_processes_and_nothing_else(cls: type[Risky]) -> None:
    journal = SharedJournal()
    app = risky_app(lambda: cls(journal), sessions_per_process=3)
    async with nothing_left(), running(app):
        async with playing(app, 7) as clients:
            for number, client in enumerate(clients):
                for _ in range(number):
                    await client.step({})
            results = await gathered([client.step({}) for client in clients])
            assert [result.observation["count"] for result in results] == [1, 2, 3, 4, 5, 6, 7]
            homes = [result.observation["pid"] for result in results]
            assert sorted(homes.count(pid) for pid in set(homes)) == [1, 3, 3]
            with pytest.raises(EnvironmentCrashed):
                await bounded(clients[0].step({"do": "exit"}))
            for client, home in zip(clients[1:], homes[1:], strict=True):
                if home == homes[0]:
                    with pytest.raises(EnvironmentCrashed):
                        await bounded(client.step({}))
                else:
                    assert (await bounded(client.step({}))).observation["pid"] == home
    assert journal.count("built") == 7
    assert journal.count("closed") == 7 - homes.count(homes[0])


@requirement("process:shared")
async def test_a_seat_is_used_again() -> None:
    async with running(risky_app(sessions_per_process=2)) as app, playing(app) as (client,):
        pid = (await client.step({})).observation["pid"]
        for _ in range(3):
            async with playing(app) as (other,):
                assert (await other.step({})).observation["pid"] == pid


@requirement("process:shared")
async def test_a_plain_call_that_hangs_in_a_shared_process_holds_up_nobody_there() -> None:
    app = risky_app(sessions_per_process=2)
    async with nothing_left(), running(app), playing(app, 2) as (client, neighbour):
        with pytest.raises(StepTimeout) as caught:
            await bounded(client.step({"do": "sleep"}, timeout_s=0.1))
        assert caught.value.session_usable is False
        assert (await bounded(neighbour.step({}))).observation["count"] == 1
        # The thread that sleeps is in that process: nobody else gets a seat there.
        home = (await neighbour.step({})).observation["pid"]
        await bounded(client.reset())
        assert (await client.step({})).observation["pid"] != home


@requirement("process:hang", "process:shared")
async def test_code_that_never_yields_in_a_shared_process_is_killed() -> None:
    app = risky_app(AsyncRisky, sessions_per_process=2)
    async with nothing_left(), running(app), playing(app, 2) as (client, neighbour):
        with pytest.raises(StepTimeout) as caught:
            await bounded(client.step({"do": "spin"}, timeout_s=0.1))
        assert caught.value.session_usable is False
        with pytest.raises(EnvironmentCrashed, match="passed its deadline"):
            await bounded(neighbour.step({}))


class Bounded(Risky):
    memory_limit_mb = 64
    open_files_limit = 32


@requirement("process:limits")
@pytest.mark.parametrize("cls", [Bounded, lambda: Bounded()], ids=["a class", "a function"])
async def test_memory_and_files_are_bounded(cls: Any) -> None:
    async with running(risky_app(cls)) as app, playing(app) as (client,):
        assert (await client.step({"do": "memory", "value": 16 * MIB})).observation["value"] == 16 * MIB
        with pytest.raises(EnvironmentFailed, match="MemoryError"):
            await bounded(client.step({"do": "memory", "value": 128 * MIB}))
        with pytest.raises(EnvironmentFailed, match="Too many open files"):
            await bounded(client.step({"do": "open", "value": 64}))
        assert (await bounded(client.step({}))).observation["count"] == 4


@requirement("process:limits")
async def test_limits_of_the_server_and_processor_time() -> None:
    app = risky_app(memory_limit_mb=64, cpu_limit_s=1)
    async with running(app), playing(app) as (client,):
        with pytest.raises(EnvironmentFailed, match="MemoryError"):
            await bounded(client.step({"do": "memory", "value": 128 * MIB}))
        with pytest.raises(EnvironmentCrashed) as caught:
            await bounded(client.step({"do": "spin"}))
        assert caught.value.signal == "SIGXCPU"


@pytest.mark.parametrize(
    "wrong", [{"sessions_per_process": 0}, {"spare_processes": -1}, {"memory_limit_mb": 0}, {"open_files_limit": 2}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProcessOptions(**wrong)


@requirement("close:server-stops", "process:no-orphans")
@pytest.mark.parametrize("sessions", [1, 3])
@BOTH
async def test_a_drain_lets_calls_finish_and_closes_every_environment(cls: type[Risky], sessions: int) -> None:
    journal = SharedJournal()
    app = risky_app(lambda: cls(journal), sessions_per_process=sessions)
    async with nothing_left():
        app.server.start()
        clients: list[AsyncEnv[Any, Any, Any]] = [await AsyncEnv.connect(app) for _ in range(4)]
        await gathered([client.reset() for client in clients])
        calls = [asyncio.ensure_future(client.step({"do": "gate"})) for client in clients[:1]]
        await journal.until("waiting")
        draining = asyncio.ensure_future(app.server.drain(5.0))
        await asyncio.sleep(0)
        journal.gate("go").set()
        assert (await gathered(calls))[0].observation["count"] == 1
        await bounded(draining)
        assert journal.count("closed") == 4
        await gathered([client.close() for client in clients])


@requirement("process:warm")
async def test_a_server_that_is_out_of_descriptors_says_so_and_recovers() -> None:
    app = risky_app(spare_processes=0, limits=Limits(max_sessions=2, close_timeout_s=3.0))
    async with nothing_left(), running(app), playing(app):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(FactoryError, match="no process can be started"):
                async with playing(app):
                    pass
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in taken:
                os.close(fd)
        async with playing(app) as (client,):
            assert (await client.step({})).observation["count"] == 1
