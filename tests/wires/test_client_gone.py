"""A client that disappears during a call: close() runs once, and the slot is free as soon as the call has ended.

So it is for clients that cannot resume, and where no window is kept; `tests/resume` has the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from bad_input import EXECUTIONS, WIRES
from requirements import requirement
from support import PROGRAMS
from support.play_env import Execution, play_app
from support.raw_clients import raw_client, raw_native
from support.servers import BOUND_S, Journal, Served, bounded, serving

from openenv_async import Limits
from openenv_async.protocol.frames import Close, Closed, Step

SOCKET_TASKS = ("openenv native writer", "openenv json reader")
"""The server's tasks that are over when it has noticed that a socket is gone."""

CLIENT = PROGRAMS / "vanishing_client.py"


@contextlib.asynccontextmanager
async def one_slot(journal: Journal, execution: Execution, **limits: Any) -> AsyncIterator[Served]:
    async with serving(play_app(journal, execution, limits=Limits(max_sessions=1, **limits))) as served:
        yield served


async def slot_is_free(served: Served, journal: Journal) -> None:
    """The one slot goes to the next client, after the first environment's only close()."""
    async with raw_native(served.url) as client:  # its Open waits for the slot
        assert journal.count("closed") == 1
        assert journal.count("built") == 2
        assert (await client.reset()).total == 0
        assert (await client.step(n=3)).total == 3
    await journal.until("closed", 2)
    assert journal.count("closed") == 2


async def ends_when_the_call_does(journal: Journal, execution: Execution) -> None:
    if execution == "thread":
        # Python cannot stop a thread: the environment is closed behind the call, not under it.
        assert journal.count("closed") == 0
        journal.open_gate("step")
        await journal.until("went on")
    await journal.until("closed")
    if execution == "inline":
        assert journal.count("went on") == 0, "the abandoned step was not stopped"


@requirement("close:client-gone", "close:once", "slot:freed")
@WIRES
@EXECUTIONS
async def test_a_socket_that_is_cut_during_a_step(wire: str, execution: Execution) -> None:
    journal = Journal()
    async with one_slot(journal, execution) as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            await client.begin(op="wait")
            await journal.until("waiting")
            client.socket.transport.abort()
        await ends_when_the_call_does(journal, execution)
        await slot_is_free(served, journal)


@requirement("close:client-gone", "close:once", "slot:freed")
@WIRES
@EXECUTIONS
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])
async def test_a_client_process_that_is_killed_during_a_step(wire: str, execution: Execution) -> None:
    journal = Journal()
    async with one_slot(journal, execution, resume_window_s=0) as served:
        process = await asyncio.create_subprocess_exec(sys.executable, str(CLIENT), served.url, wire)
        try:
            await journal.until("waiting")
        finally:
            process.kill()
            await bounded(process.wait())
        await ends_when_the_call_does(journal, execution)
        await slot_is_free(served, journal)


@requirement("close:client-gone", "close:once")
@WIRES
async def test_a_client_that_leaves_with_a_close_frame_during_a_step(wire: str) -> None:
    journal = Journal()
    async with one_slot(journal, "inline") as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            await client.begin(op="wait")
            await journal.until("waiting")
        await ends_when_the_call_does(journal, "inline")
        await slot_is_free(served, journal)


@requirement("close:client-gone", "close:once", "slot:freed")
@WIRES
@EXECUTIONS
async def test_a_client_that_leaves_between_calls(wire: str, execution: Execution) -> None:
    journal = Journal()
    async with one_slot(journal, execution) as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            client.socket.transport.abort()
        await journal.until("closed")
        await slot_is_free(served, journal)


@requirement("slot:freed", "close:once")
@WIRES
async def test_a_client_that_asks_much_and_leaves(wire: str) -> None:
    journal = Journal()
    async with one_slot(journal, "thread") as served:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            for _ in range(12):
                await client.begin(op="wait")
            await journal.until("waiting")
            ends_with_the_socket = {t for t in asyncio.all_tasks() if t.get_name() in SOCKET_TASKS}
            client.socket.transport.abort()
            await bounded(asyncio.wait(ends_with_the_socket))
        await ends_when_the_call_does(journal, "thread")
        await slot_is_free(served, journal)
        # What had not begun when the client left was not begun any more.
        assert journal.count("waiting") == 1


@requirement("close:client-gone")
async def test_only_the_sessions_of_the_lost_connection_end() -> None:
    journal = Journal()
    async with serving(play_app(journal)) as served, raw_native(served.url) as stays:
        await stays.reset()
        async with raw_native(served.url) as goes:
            for sid in (2, 3):
                await goes.open(sid)
            await goes.reset(3)
            await goes.begin(3, op="wait")
            await journal.until("waiting")
            goes.socket.transport.abort()
        await journal.until("closed", 3)
        assert journal.count("closed") == 3
        assert (await stays.step(n=2)).total == 2


@requirement("close:once", "slot:freed")
async def test_closing_a_session_during_its_step_ends_it_when_the_step_does() -> None:
    journal = Journal()
    async with serving(play_app(journal, "thread", max_concurrent_envs=2)) as served, raw_native(served.url) as client:
        await client.open(2)
        for sid in (1, 2):
            await client.reset(sid)
        await client.begin(1, op="wait")
        await journal.until("waiting")
        await client.send(Close(1))
        assert (await client.step(2, n=4)).total == 4
        assert journal.count("closed") == 0
        journal.open_gate("step")
        closed = await client.hear()
        assert (closed, journal.count("closed")) == (Closed(1), 1)
        said = await client.ask(Step(1, 9, msgspec.Raw(client.encode({"n": 1}))))
        assert said.code == "SESSION_LOST"
        await client.send(Close(1))
        assert await client.hear() == Closed(1)


@requirement("close:server-stops", "close:once")
@WIRES
@EXECUTIONS
async def test_a_server_that_stops_closes_every_environment(wire: str, execution: Execution) -> None:
    journal = Journal()
    async with serving(play_app(journal, execution), grace_s=BOUND_S) as served:
        async with raw_client(wire, served.url) as idle, raw_client(wire, served.url) as busy:
            await idle.reset()
            await busy.reset()
            await busy.begin(op="wait", n=5)
            await journal.until("waiting")
            stopping = asyncio.create_task(served.stop())
            await journal.until("closed")
            journal.open_gate("step")
            await bounded(stopping)
    assert (journal.count("built"), journal.count("closed"), journal.count("went on")) == (2, 2, 1)
