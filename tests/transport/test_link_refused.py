"""Servers that refuse, hang, lie and break off, and what the client's links make of them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from link_pairs import OPENERS, Acceptor, Opener
from raw_server import Handler, frame, raw_server, read_request, shake_hands, silence
from support.servers import bounded, serving

from openenv_async.transport.address import Address
from openenv_async.transport.in_process import open_inprocess
from openenv_async.transport.link import Link, LinkClosed, LinkRefused
from openenv_async.transport.network import connect_link

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(params=[*OPENERS.values(), connect_link], ids=[*OPENERS, "connect_link"])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.param
    return found


async def open_to(opener: Opener, url: str, **options: Any) -> Link:
    link: Link = await bounded(opener(Address(url=f"{url}/ws", **({"connect_timeout_s": 5.0} | options))))
    return link


async def refusal(opener: Opener, url: str, **options: Any) -> LinkRefused:
    with pytest.raises(LinkRefused) as caught:
        await open_to(opener, url, **options)
    assert str(caught.value)
    return caught.value


def answering(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        await silence(reader)

    return handler


async def test_nobody_listens(opener: Opener) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert (await refusal(opener, url)).status is None


async def test_no_such_unix_socket(opener: Opener, tmp_path: Path) -> None:
    assert (await refusal(opener, "http://localhost", unix_path=str(tmp_path / "none"))).status is None


async def test_no_such_host(opener: Opener) -> None:
    assert (await refusal(opener, "http://no-such-host.invalid:1")).status is None


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 426, 500, 503])
async def test_an_http_answer_is_a_refusal_with_its_status(opener: Opener, status: int) -> None:
    answer = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 4\r\n\r\nbody".encode()
    async with raw_server(answering(answer)) as url:
        error = await refusal(opener, url)
        assert error.status == status
        assert str(status) in str(error)


async def test_an_app_that_does_not_accept(opener: Opener) -> None:
    async with serving(Acceptor(None)) as served:
        assert (await refusal(opener, f"{served.url}/other")).status == 403


LIES = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half an answer": b"HTTP/1.1 101 Switching",
    "a wrong key": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: aGVsbG8=\r\n\r\n",
    "no upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


@pytest.mark.parametrize("answer", LIES.values(), ids=list(LIES))
async def test_what_is_no_handshake_is_a_refusal(opener: Opener, answer: bytes) -> None:
    if answer.startswith(b"HTTP/1.1 101 Switching Protocols") and opener is OPENERS["httpx-ws"]:
        opener = OPENERS["direct"]  # httpx-ws checks nothing but the status
    async with raw_server(answering(answer)) as url:
        await refusal(opener, url)


async def test_a_subprotocol_that_was_not_offered_is_a_refusal(opener: Opener) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer, "Sec-WebSocket-Protocol: other.v9\r\n")
        await silence(reader)

    async with raw_server(handler) as url:
        await refusal(opener, url, subprotocols=("openenv.v1",))


async def test_a_server_that_says_nothing_is_left_in_time_and_for_good(opener: Opener) -> None:
    gone = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence(reader)
        gone.set()

    async with raw_server(handler) as url:
        error = await refusal(opener, url, connect_timeout_s=0.2)
        assert error.status is None
        assert "0.2 s" in str(error)
        await bounded(gone.wait())


async def test_a_cancelled_open_leaves_no_connection(opener: Opener) -> None:
    here, gone = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        here.set()
        await silence(reader)
        gone.set()

    async with raw_server(handler) as url:
        opening = asyncio.ensure_future(open_to(opener, url))
        await bounded(here.wait())
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bounded(opening)
        await bounded(gone.wait())


ENDS: dict[str, tuple[bytes, int | None]] = {
    "breaks off": (b"", 1006),
    "closes": (frame(CLOSE, (4001).to_bytes(2) + b"enough"), 4001),
    "closes without a code": (frame(CLOSE, b""), None),
    "sends no WebSocket frame": (b"HTTP/1.1 200 OK\r\n\r\n" + b"\xff" * 100, None),
    "sends text that is not UTF-8": (frame(TEXT, b"\xff\xfe"), None),
    "goes on with a message that it never began": (frame(0, b"x"), None),
    "sends a control frame in two pieces": (frame(PING, b"x", final=False), None),
    "uses an unknown opcode": (frame(5, b"x"), None),
}


@pytest.mark.parametrize(("last_words", "code"), ENDS.values(), ids=list(ENDS))
async def test_a_server_that_ends_in_any_way_ends_the_link(opener: Opener, last_words: bytes, code: int | None) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(frame(TEXT, b"hello") + last_words)
        await writer.drain()
        await reader.read(1)

    async with raw_server(handler) as url:
        link = await open_to(opener, url)
        assert await bounded(link.receive()) == "hello"
        if not last_words:
            await bounded(link.send("read me, then break off"))
        with pytest.raises(LinkClosed) as caught:
            await bounded(link.receive())
        assert code is None or caught.value.code == code
        assert caught.value.reason
        with pytest.raises(LinkClosed):
            await bounded(link.send(b"late"))
        await bounded(link.aclose())


async def test_pieces_are_joined_and_pings_between_them_answered(opener: Opener) -> None:
    # httpx-ws fails on a pong that it did not ask for; there the link ends, as it would with any broken server.
    unasked = b"" if opener is OPENERS["httpx-ws"] else frame(PONG, b"unasked")

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        whole = "é€".encode()
        pieces = [frame(TEXT, whole[:1], final=False), frame(PING, b"?"), frame(0, whole[1:3], final=False)]
        writer.write(b"".join(pieces) + frame(0, whole[3:]) + unasked)
        pong = await reader.readexactly(7)
        mask = pong[2:6]
        assert (pong[0], bytes([pong[6] ^ mask[0]])) == (0x80 | PONG, b"?")
        writer.write(frame(BINARY, b"answered"))
        await reader.read(1)

    async with raw_server(handler) as url:
        link = await open_to(opener, url)
        assert await bounded(link.receive()) == "é€"
        assert await bounded(link.receive()) == b"answered"
        await bounded(link.aclose())


@pytest.mark.parametrize("opener", OPENERS.values(), ids=list(OPENERS))
async def test_a_close_that_is_never_answered_is_given_up(opener: Opener) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await asyncio.Event().wait()

    async with raw_server(handler) as url:
        link = await open_to(opener, url)
        await bounded(link.aclose())
        await bounded(link.aclose())


async def test_a_server_that_answers_no_ping_is_given_up(opener: Opener) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await silence(reader)

    async with raw_server(handler) as url:
        link = await open_to(opener, url, ping_interval_s=0.1, ping_timeout_s=0.1)
        with pytest.raises(LinkClosed):
            await bounded(link.receive())
        await bounded(link.aclose())


async def failing_app(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("no")


async def silent_app(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def refusing_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close", "code": 1008, "reason": "no token"})


@pytest.mark.parametrize(
    ("app", "status", "words"),
    [(failing_app, None, "RuntimeError: no"), (silent_app, None, "ended"), (refusing_app, 403, "no token")],
)
async def test_an_app_in_process_that_does_not_accept(app: Any, status: int | None, words: str) -> None:
    with pytest.raises(LinkRefused, match=words) as caught:
        await bounded(open_inprocess(app, "/ws", {}, ()))
    assert caught.value.status == status


async def test_an_app_in_process_that_says_nothing_does_not_outlive_its_client() -> None:
    ended = asyncio.Event()

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(open_inprocess(hanging, "/ws", {}, ()), 0.1)
    await bounded(ended.wait())
