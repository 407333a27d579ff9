"""Peers that fall silent without a word, behind sockets that stay open: both sides notice by their pings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from requirements import requirement
from support.forwarder import forwarding
from support.play_env import play_app
from support.raw_clients import raw_socket
from support.servers import Journal, bounded, serving

from openenv_async.protocol.frames import SUBPROTOCOL
from openenv_async.server.app import EnvApp
from openenv_async.server.runner import ServeOptions
from openenv_async.transport.address import Address
from openenv_async.transport.link import LinkClosed
from openenv_async.transport.proxy_client import open_proxy_link
from openenv_async.transport.ws_client import open_ws_link

INTERVAL_S = 0.2


@requirement("liveness:silent-peer")
@pytest.mark.parametrize("kind", ["direct", "websocket"])
async def test_a_client_notices_a_silent_server_by_its_pings(kind: str) -> None:
    async with serving(play_app(Journal())) as served, forwarding(served.port) as way:
        address = Address(
            url=way.url + "/ws", subprotocols=(SUBPROTOCOL,), ping_interval_s=INTERVAL_S, ping_timeout_s=INTERVAL_S
        )
        if kind == "websocket":
            link: Any = await open_proxy_link(address)
        else:
            link = await open_ws_link(address)
        await bounded(link.receive())  # hello
        for _ in range(3):  # it is alive, though it has nothing to say
            with pytest.raises(TimeoutError):
                await bounded(link.receive(), INTERVAL_S)
        way.hold()
        with pytest.raises(LinkClosed) as lost:
            await bounded(link.receive())
        assert lost.value.code == 1006
        await link.aclose()


async def gone(app: EnvApp) -> None:
    async with asyncio.timeout(10):
        while app.server.connections:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)


@requirement("liveness:silent-peer", "slot:freed")
@pytest.mark.parametrize("native", [True, False], ids=["native", "json"])
async def test_a_server_drops_a_client_that_answers_no_pings(native: bool) -> None:
    journal = Journal()
    app = play_app(journal)
    options = ServeOptions(grace_s=0.5, linger_s=0.5, ping_interval_s=0.1, silence_s=0.3)
    async with serving(app, options=options) as served, forwarding(served.port) as way:
        async with raw_socket(way.url, native=native) as socket:
            if native:
                await bounded(socket.recv())
            await asyncio.sleep(0.6)  # its pongs keep it
            assert len(app.server.connections) == 1
            way.hold("up")
            await bounded(gone(app))
            socket.transport.abort()


@requirement("liveness:silent-peer")
async def test_a_server_drops_a_client_that_reads_nothing_and_says_nothing() -> None:
    from support.raw_clients import RawNative

    app = play_app(Journal())
    options = ServeOptions(grace_s=0.5, linger_s=0.5, ping_interval_s=0.1, silence_s=0.3)
    async with serving(app, options=options) as served, forwarding(served.port) as way:
        async with raw_socket(way.url, native=True) as socket:
            client = RawNative(socket)
            await client.hear()
            await client.open()
            await client.reset()
            await client.begin(op="huge", value=30_000_000)
            way.hold()
            await bounded(gone(app))
            socket.transport.abort()
