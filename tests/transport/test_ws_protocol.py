"""The two ends that have a socket to themselves: pushing, holding, pinging, and how each learns of the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from link_pairs import KINDS
from support.servers import bounded

from openenv_async.limits import MIB
from openenv_async.transport.link import LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

Pair = Callable[[], contextlib.AbstractAsyncContextManager[tuple[WebSocketLink, WebSocketLink]]]


@pytest.fixture(params=["hypercorn direct", "hypercorn tls direct"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Every test here runs over TCP and over TLS."""

    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[tuple[WebSocketLink, WebSocketLink]]:
        async with KINDS[request.param](None, (), tmp_path) as (client, server):
            assert isinstance(client, WebSocketLink)
            assert isinstance(server, WebSocketLink)
            yield client, server

    return connected


class Taker:
    """Takes what is pushed; `until` so many messages, or the end, have come."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.end: LinkClosed | None = None
        self._changed = asyncio.Event()

    def take(self, message: Message) -> None:
        assert self.end is None
        self.got.append(message)
        self._changed.set()

    def ended(self, closed: LinkClosed) -> None:
        assert self.end is None
        self.end = closed
        self._changed.set()

    async def until(self, count: int | None) -> None:
        async with asyncio.timeout(10):
            while self.end is None if count is None else len(self.got) < count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture(params=["client", "server"])
def from_client(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "client")


async def test_pushed_messages_come_in_order_and_the_end_after_them(pair: Pair, from_client: bool) -> None:
    async with pair() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        taker = Taker()
        await sender.send("before")
        receiver.push(taker.take, taker.ended)
        messages: list[Message] = [*map(str, range(50)), b"x" * MIB, "last"]
        for message in messages:
            await bounded(sender.send(message))
        await bounded(sender.aclose(4001, "done"))
        await taker.until(None)
        assert taker.got == ["before", *messages]
        assert taker.end is not None
        assert (taker.end.code, taker.end.reason) == (4001, "done")


async def test_a_held_link_pushes_and_reads_nothing_and_then_everything(pair: Pair, from_client: bool) -> None:
    async with pair() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        taker = Taker()
        receiver.hold(True)
        receiver.push(taker.take, taker.ended)
        sent = 0
        while sender.can_send:
            sender.send_nowait(sent.to_bytes(4) + bytes(MIB))
            sent += 1
            await asyncio.sleep(0)
            assert sent < 2000, "a held link takes 2 GiB"
        assert taker.got == []
        receiver.hold(False)
        await taker.until(sent)
        assert [
            int.from_bytes(bytes(message[:4], "ascii") if isinstance(message, str) else message[:4])
            for message in taker.got
        ] == list(range(sent))


async def test_a_link_may_be_held_by_whoever_takes_a_message(pair: Pair) -> None:
    async with pair() as (client, server):
        taker = Taker()

        def one(message: Message) -> None:
            server.hold(True)
            taker.take(message)

        server.push(one, taker.ended)
        for text in "abc":
            await client.send(text)
        for count in (1, 2, 3):
            await taker.until(count)
            assert len(taker.got) == count
            server.hold(False)
        await bounded(client.aclose())
        await taker.until(None)


async def test_a_socket_that_breaks_is_told_apart_from_a_close(pair: Pair, from_client: bool) -> None:
    async with pair() as ends:
        one, other = ends if from_client else ends[::-1]
        taker = Taker()
        other.push(taker.take, taker.ended)
        one.abort()
        await taker.until(None)
        assert taker.end is not None
        assert taker.end.code == 1006


async def test_pings_keep_a_quiet_link_and_silence_ends_it(pair: Pair, from_client: bool) -> None:
    async with pair() as ends:
        one, other = ends if from_client else ends[::-1]
        one.keep_alive(0.02, silence_s=0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.receive(), 0.6)  # the other end answers, so it lives
        other.hold(True)  # reads nothing any longer, and so answers nothing
        with pytest.raises(LinkClosed, match="nothing was heard from the"):
            await bounded(one.receive())


async def test_a_message_over_the_limit_ends_the_link_with_1009(pair: Pair) -> None:
    async with pair() as (client, server):
        server.reader.most_bytes = MIB
        await client.send(b"x" * MIB)
        assert len(await bounded(server.receive())) == MIB
        await client.send(b"x" * (MIB + 1))
        with pytest.raises(LinkClosed) as caught:
            await bounded(server.receive())
        assert caught.value.code == 1009
        with pytest.raises(LinkClosed) as told:
            await bounded(client.receive())
        assert told.value.code == 1009
