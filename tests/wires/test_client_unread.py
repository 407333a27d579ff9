"""A client that asks without reading the answers, and vanishes: its environment is closed and its slot is free."""

from __future__ import annotations

import socket
import struct

import pytest
from bad_input import WIRES
from requirements import requirement
from support.play_env import play_app
from support.raw_clients import raw_client
from support.servers import Journal, serving


@requirement("slot:freed", "close:client-gone")
@pytest.mark.parametrize("size", [10, 500_000])
@WIRES
async def test_a_client_that_reads_nothing_and_vanishes(wire: str, size: int) -> None:
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=1)) as served:
        async with raw_client(wire, served.url) as client:
            assert (await client.reset()).total == 0
            transport = client.socket.transport
            transport.pause_reading()
            await client.begin(op="huge", value=size)
            for _ in range(400):
                await client.begin(op="echo", value="x" * 100)
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        await journal.until("closed")
        async with raw_client(wire, served.url) as client:
            assert (await client.step(n=3)).total == 3
        await journal.until("closed", 2)
