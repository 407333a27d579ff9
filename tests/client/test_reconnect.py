"""When a client tries to find its server again, and what it finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from requirements import requirement
from support.servers import bounded

from openenv_async.client.reconnect import SHORT_ONES, Terms, WayBack, pauses
from openenv_async.errors import ConnectFailed, SessionLost, Unauthorized
from openenv_async.protocol.frames import RESUME, SUBPROTOCOL, Closed, Hello, ServerFrame, encode_batch
from openenv_async.transport.in_process import memory_links
from openenv_async.transport.link import Link

MIB = 1024 * 1024


class Server:
    """Gives a link for each try, or fails it: a fake that misbehaves on purpose."""

    def __init__(self, *first: Exception | ServerFrame | None, subprotocol: str | None = SUBPROTOCOL) -> None:
        self.answers = list(first)
        self.tries = 0
        self.subprotocol = subprotocol
        self.ends: list[Link] = []

    async def dial(self) -> Link:
        self.tries += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        ours, theirs = memory_links(self.subprotocol)
        self.ends.append(theirs)
        if answer is not None:
            await theirs.send(encode_batch([answer]))
        return ours


def way(server: Server, connect_timeout_s: float = 5.0) -> WayBack:
    return WayBack(server.dial, connect_timeout_s, MIB)


def test_the_first_try_is_at_once_and_the_range_doubles_to_two_seconds() -> None:
    most = [max(draws) for draws in zip(*(_first(pauses(), 12) for _ in range(400)), strict=True)]
    assert most[0] == 0.0
    for at, limit_s in enumerate([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0], 1):
        assert 0.8 * limit_s < most[at] <= limit_s


def _first(made: object, count: int) -> list[float]:
    iterator: Callable[[], float] = made.__next__  # type: ignore[attr-defined]
    return [iterator() for _ in range(count)]


@requirement("resume:twice")
async def test_it_tries_until_the_server_answers() -> None:
    refused = ConnectFailed("refused")
    server = Server(refused, refused, Closed(1), Hello(1, "me"))
    found = await bounded(way(server).find("me", 30, "cut"))
    assert (server.tries, found.terms.server_id) == (4, "me")


@requirement("resume:window")
async def test_it_gives_up_when_the_window_is_over() -> None:
    server = Server(ConnectFailed("refused"))
    with pytest.raises(SessionLost, match=r"gone \(cut\) and did not come back within 0.2 s: refused"):
        await bounded(way(server).find("me", 0.2, "cut"))
    assert server.tries > 1


@requirement("resume:window")
async def test_it_does_not_give_up_before_the_window_is_over() -> None:
    loop = asyncio.get_running_loop()
    tried: list[float] = []

    async def dial() -> Link:
        tried.append(loop.time())
        raise ConnectFailed("refused")

    for _ in range(3):
        tried.clear()
        with pytest.raises(SessionLost, match="did not come back within 1 s"):
            await bounded(WayBack(dial, 5.0, MIB).find("me", 1.0, "cut"))
        assert tried[-1] - tried[0] > 0.9
        assert len(tried) < 40


@requirement("resume:window")
async def test_a_server_that_takes_connections_and_says_nothing_is_bounded_by_both_limits() -> None:
    server = Server(None)
    with pytest.raises(SessionLost, match="did not come back within 0.3 s"):
        await bounded(way(server, 0.05).find("me", 0.3, "cut"))
    assert server.tries > 1
    server = Server(None)
    with pytest.raises(SessionLost, match="did not come back within 0.2 s"):
        await bounded(way(server, 60).find("me", 0.2, "cut"))
    assert server.tries == 1


@requirement("resume:restarted-server")
async def test_another_server_ends_the_search_at_once() -> None:
    for server in (
        Server(Hello(1, "another")),
        Server(Hello(1, "me"), subprotocol=None),
        Server(Unauthorized("token")),
    ):
        with pytest.raises(SessionLost):
            await bounded(way(server).find("me", 30, "cut"))
        assert server.tries == 1


async def test_connections_that_break_again_and_again_are_not_made_in_a_hurry() -> None:
    server = Server(Hello(1, "me"))
    back = way(server)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(30 + SHORT_ONES):
        await bounded(back.find("me", 30, "cut"))
    assert loop.time() - began > 0.5, "thirty pauses of 50 ms on average"


@requirement("resume:old-peers")
def test_what_a_server_says_is_taken_as_far_as_it_makes_sense() -> None:
    assert Terms.of(Hello(1, "a")) == Terms("a")
    odd = {"chunk_bytes": -1, "max_message_bytes": "x", "queue_timeout_s": None, "resume_window_s": [1], "more": 1}
    assert Terms.of(Hello(1, "a", odd, [RESUME, "telepathy"])) == Terms("a")
    assert Terms.of(Hello(1, "a", {"resume_window_s": 5})).resume_window_s == 0, "no feature, no window"
    sane = Terms.of(Hello(1, "a", {"resume_window_s": 5, "chunk_bytes": 9, "queue_timeout_s": 1.5}, [RESUME]))
    assert sane == Terms("a", 9, 0, 1.5, 5.0)
