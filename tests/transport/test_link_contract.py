"""The contract of a link, over every kind of link: `transport.link` in sentences, here as tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from link_pairs import KINDS, Pair
from support.servers import bounded, gathered

from openenv_async.limits import MIB
from openenv_async.transport import proxy_client, ws_protocol
from openenv_async.transport.link import Link, LinkClosed, Message

Connect = Callable[..., contextlib.AbstractAsyncContextManager[Pair]]

BLOCKED_S = 0.1
"""A send that has not returned by then waits for its reader."""

REAL = [kind for kind in KINDS if kind != "memory"]
# What a full socket does is the same for TCP and Unix sockets.
FILLED = pytest.mark.parametrize("kind", [kind for kind in KINDS if "unix" not in kind and "wsproto" not in kind])


@pytest.fixture(autouse=True)
def short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ws_protocol, proxy_client):
        assert module.CLOSE_WAIT_S <= 2
        monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.2)


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(kind: str, tmp_path: Path) -> Connect:
    @contextlib.asynccontextmanager
    async def connected(chosen: str | None = None, offered: tuple[str, ...] = ()) -> AsyncIterator[Pair]:
        async with KINDS[kind](chosen, offered, tmp_path) as pair:
            yield pair

    return connected


@pytest.fixture(params=["client", "server"])
def from_client(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "client")


async def take(link: Link, count: int) -> list[Message]:
    return [await link.receive() for _ in range(count)]


async def send_all(link: Link, messages: list[Message]) -> None:
    for message in messages:
        await link.send(message)


async def closed(link: Link) -> LinkClosed:
    """Read to the end of a link; give what the end says."""
    with pytest.raises(LinkClosed) as caught:
        while True:
            await bounded(link.receive())
    return caught.value


async def fill(link: Link) -> tuple[asyncio.Task[None], int]:
    """Send until the link takes no more; give the send that waits, and how many went before it."""
    for number in range(2000):
        task = asyncio.ensure_future(link.send(number.to_bytes(4) + bytes(MIB)))
        await asyncio.wait([task], timeout=BLOCKED_S)
        if not task.done():
            return task, number
        await task
    raise AssertionError("a link takes 2 GiB that nobody reads")


MESSAGES: list[Message] = [b"", "", b"\x00\xff", "é€😀", "plain", b"x" * 70_000, "y" * 70_000, *map(str, range(200))]


async def test_messages_arrive_whole_in_order_and_of_their_kind(connect: Connect) -> None:
    async with connect() as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            _, got = await bounded(asyncio.gather(send_all(sender, MESSAGES), take(receiver, len(MESSAGES))))
            assert got == MESSAGES
            assert [type(message) for message in got] == [type(message) for message in MESSAGES]


async def test_a_message_of_16_mib(connect: Connect, from_client: bool) -> None:
    async with connect() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        message = bytes(range(256)) * (16 * 4096)
        _, got = await bounded(asyncio.gather(sender.send(message), receiver.receive()))
        assert got == message


async def test_both_ends_send_and_receive_at_once(connect: Connect) -> None:
    async with connect() as (client, server):
        many: list[Message] = [bytes([number]) * MIB for number in range(12)]
        results = await gathered(
            [send_all(client, many), send_all(server, many), take(client, len(many)), take(server, len(many))]
        )
        assert results[2] == results[3] == many


async def test_a_close_ends_both_links_for_good(connect: Connect, from_client: bool) -> None:
    async with connect() as ends:
        one, other = ends if from_client else ends[::-1]
        pending = asyncio.ensure_future(other.receive())
        await bounded(one.aclose(1001, "going away"))
        with pytest.raises(LinkClosed) as caught:
            await bounded(pending)
        if not from_client:  # httpx-ws has no way to say a code of the client's
            assert (caught.value.code, caught.value.reason) == (1001, "going away")
        for link in (one, other):
            for call in (link.receive, lambda link=link: link.send(b"late"), lambda link=link: link.send("late")):
                with pytest.raises(LinkClosed):
                    await bounded(call())
        for link in (one, other, one, other):
            await bounded(link.aclose())


async def test_what_was_sent_before_the_close_arrives(connect: Connect, from_client: bool) -> None:
    async with connect() as ends:
        one, other = ends if from_client else ends[::-1]
        await bounded(send_all(one, ["a", b"b", "c"]))
        closing = asyncio.ensure_future(one.aclose())
        assert await bounded(take(other, 3)) == ["a", b"b", "c"]
        await closed(other)
        await bounded(closing)


async def test_a_close_ends_the_receive_that_waits_at_the_same_end(connect: Connect) -> None:
    async with connect() as (client, server):
        ends = [asyncio.ensure_future(closed(link)) for link in (client, server)]
        await asyncio.sleep(0)
        await bounded(client.aclose())
        await gathered(ends)


@pytest.mark.parametrize("reason", ["x" * 200, "é" * 100, "€" * 41 + "x", ""], ids=["long", "two", "three", "none"])
async def test_a_reason_of_any_length_and_alphabet(connect: Connect, reason: str) -> None:
    async with connect() as (client, server):
        await bounded(server.aclose(1008, reason))
        error = await closed(client)
        assert error.code == 1008
        assert error.reason.startswith(reason[:30])


async def test_a_cancelled_receive_loses_no_message(connect: Connect, from_client: bool) -> None:
    async with connect() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        messages: list[Message] = [str(number) for number in range(100)]
        sending = asyncio.ensure_future(send_all(sender, messages))
        got: list[Message] = []
        async with asyncio.timeout(60):
            while len(got) < len(messages):
                for turns in range(12):
                    task = asyncio.ensure_future(receiver.receive())
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                    if not task.cancelled():
                        got.append(task.result())
        assert got == messages
        await bounded(sending)


@FILLED
async def test_a_slow_reader_slows_the_sender_and_loses_nothing(connect: Connect, from_client: bool) -> None:
    async with connect() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        waiting, count = await bounded(fill(sender), 60)
        got = await bounded(take(receiver, count + 1))
        await bounded(waiting)
        assert [
            int.from_bytes(bytes(message[:4], "ascii") if isinstance(message, str) else message[:4]) for message in got
        ] == list(range(count + 1))


@FILLED
async def test_after_a_cancelled_send_the_link_goes_on_or_says_that_it_does_not(
    connect: Connect, from_client: bool
) -> None:
    async with connect() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        waiting, count = await bounded(fill(sender), 60)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled()

        async def read() -> list[Any]:
            got: list[Any] = []
            with contextlib.suppress(LinkClosed):
                while "end" not in got[-1:]:
                    message = await receiver.receive()
                    got.append(message if isinstance(message, str) else int.from_bytes(message[:4]))
            return got

        reading = asyncio.ensure_future(read())
        try:
            await bounded(sender.send("end"))
        except LinkClosed:
            await bounded(sender.aclose())
            await bounded(reading)
        else:
            assert await bounded(reading) in ([*range(count), "end"], [*range(count + 1), "end"])


@FILLED
@pytest.mark.asyncio(loop_factories=["asyncio-debug"])  # most of it is waiting for goodbyes that do not come
async def test_a_send_that_waits_ends_when_either_end_closes(connect: Connect, kind: str, from_client: bool) -> None:
    async with connect() as ends:
        sender, receiver = ends if from_client else ends[::-1]
        waiting, _ = await bounded(fill(sender), 60)
        closing = [asyncio.ensure_future(receiver.aclose()), asyncio.ensure_future(closed(sender))]
        if "httpx-ws" in kind and from_client:
            # It hears of a close only between two messages; its own end has to close too.
            closing.append(asyncio.ensure_future(sender.aclose()))
        await bounded(asyncio.wait([waiting]))
        assert waiting.exception() is None or isinstance(waiting.exception(), LinkClosed)
        await gathered(closing)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("openenv.v1",), "openenv.v1"),
        (("openenv.v2", "openenv.v1"), "openenv.v1"),
        (("openenv.v1",), None),
        ((), None),
    ],
)
@pytest.mark.parametrize("kind", REAL)
async def test_both_ends_know_the_subprotocol(connect: Connect, offered: tuple[str, ...], chosen: str | None) -> None:
    async with connect(chosen, offered) as (client, server):
        assert client.subprotocol == server.subprotocol == chosen
        await bounded(client.send(b"x"))
        assert await bounded(server.receive()) == b"x"
