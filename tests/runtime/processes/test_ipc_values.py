"""What passes between a client and a process: large, small and strange values, over every kind of socket."""

from __future__ import annotations

import random
import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from requirements import requirement
from support.risky_env import AsyncRisky, Risky, RiskyAction, playing, risky_app, running
from support.servers import bounded, gathered

from openenv_async import AsyncEnv
from openenv_async.errors import PayloadTooLarge
from openenv_async.limits import Limits
from openenv_async.runtime.processes.ipc import PIECE, Packets, Sequenced, Streamed
from openenv_async.runtime.processes.pool import ProcessPool
from openenv_async.server.app import EnvApp

MIB = 2**20
SOCKETS = {"sequenced": None, "stream": int(socket.SOCK_STREAM)}


def over(kind: str, cls: type[Risky] = Risky, sessions: int = 1) -> EnvApp:
    app = risky_app(cls, sessions_per_process=sessions)
    pool = app.server.processes
    assert isinstance(pool, ProcessPool)
    pool._kind = SOCKETS[kind]
    return app


async def echo(client: AsyncEnv[Any, Any, Any], value: Any) -> Any:
    return (await bounded(client.step(RiskyAction(do="echo", value=value)))).observation["value"]


@requirement("process:values", "values:native")
@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize("cls", [Risky, AsyncRisky])
async def test_sixteen_mebibytes_both_ways(kind: str, cls: type[Risky]) -> None:
    data = random.Random(5).randbytes(16 * MIB)
    async with running(over(kind, cls)) as app, playing(app, 2) as (client, neighbour):
        answers = await gathered([echo(client, data), echo(neighbour, b"small")])
        assert answers == [data, b"small"]
        assert await echo(client, "after") == "after"


@requirement("process:values", "values:native")
@pytest.mark.parametrize("kind", SOCKETS)
async def test_arrays_and_what_json_cannot_say(kind: str) -> None:
    array = np.arange(600_000, dtype=np.float32).reshape(3, -1)
    async with running(over(kind)) as app, playing(app) as (client,):
        back = await echo(client, array)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)
        strange = [float("inf"), b"\x00\xff", 2**63, "\u0000", None, {"a": [1.5]}]
        assert await echo(client, strange) == strange


@requirement("process:values")
@pytest.mark.parametrize("sessions", [1, 4])
@pytest.mark.parametrize("kind", SOCKETS)
async def test_sizes_around_a_packet(kind: str, sessions: int) -> None:
    async with running(over(kind, sessions=sessions)) as app, playing(app, 4) as clients:
        for size in range(PIECE - 40, PIECE + 10, 7):
            data = bytes(size)
            assert await gathered([echo(client, data) for client in clients]) == [data] * 4


async def test_an_observation_over_the_limit_stays_in_its_process() -> None:
    app = risky_app(limits=Limits(max_message_bytes=MIB))
    async with running(app), playing(app) as (client,):
        with pytest.raises(PayloadTooLarge):
            await echo(client, [bytes(MIB - 100), bytes(1000)])
        big = RiskyAction(do="echo", value=None)
        assert (await bounded(client.step(big))).observation["count"] >= 1


@given(messages=st.lists(st.binary(max_size=400).map(lambda tail: b"\0" + tail), max_size=6), data=st.data())
def test_a_stream_gives_what_was_cut_however_it_is_read(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(bytes(piece) for message in messages for piece in Streamed().cut(message))
    reader, read = Streamed(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        read += reader.feed(memoryview(stream[:size]))
        stream = stream[size:]
    assert read == messages


@pytest.mark.parametrize("packets", [Sequenced, Streamed])
@pytest.mark.parametrize("size", [0, 1, PIECE - 2, PIECE - 1, PIECE, 2 * PIECE, 5 * PIECE + 3])
def test_what_is_cut_is_put_together(packets: type[Packets], size: int) -> None:
    message = b"\0" + random.Random(size).randbytes(size)
    reader = packets()
    read = [found for piece in packets().cut(message) for found in reader.feed(memoryview(piece))]
    assert read == [message]
    if packets is Sequenced:
        assert all(len(piece) <= PIECE for piece in packets().cut(message))
