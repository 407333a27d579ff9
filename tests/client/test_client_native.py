"""Servers that answer late, twice, out of order or nonsense: no answer is taken for another's."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from requirements import requirement
from support.scripted_servers import JsonPeer, NativePeer, json_server, native_server, observation, reply
from support.servers import bounded

from openenv_async import AsyncEnv
from openenv_async.errors import (
    CapacityError,
    ConnectFailed,
    EnvError,
    EnvironmentFailed,
    InvalidPayload,
    SessionLost,
    StepTimeout,
)
from openenv_async.protocol.frames import Closed, Draining, Failure, Opened, Reply

SOON_S = 0.05
"""The deadline of calls that a script never answers in time."""


class Env(AsyncEnv[Any, Any, Any]):
    pass


@requirement("step:no-mispairing")
async def test_native_answers_that_are_late_twice_and_out_of_order() -> None:
    async def script(peer: NativePeer) -> None:
        first = await peer.request()
        await peer.send(reply(first, n="reset"), reply(first, n="reset again"))
        late = await peer.request()
        on_time = await peer.request()
        await peer.send(reply(on_time, n="second"), reply(late, n="late"), reply(on_time, n="second again"))
        third = await peer.request()
        future = Reply(third.sid, third.rid + 1, msgspec.Raw(b"\x80"))
        await peer.send(reply(late, n="very late"), future, Reply(77, 1, msgspec.Raw(b"\x80")), reply(third, n="third"))
        fourth = await peer.request()
        await peer.send(reply(fourth, n="fourth"))

    async with native_server(script) as url, Env(url) as env:
        assert (await bounded(env.reset())).observation == {"n": "reset"}
        with pytest.raises(StepTimeout) as timeout:
            await env.step({}, timeout_s=SOON_S)
        assert timeout.value.session_usable is True
        assert (await bounded(env.step({}))).observation == {"n": "second"}
        assert (await bounded(env.step({}))).observation == {"n": "third"}
        assert (await bounded(env.step({}))).observation == {"n": "fourth"}


@requirement("step:no-mispairing")
async def test_json_answers_that_are_late() -> None:
    async def script(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send(observation(n="reset"))
        for _ in range(3):
            await peer.request()
        for n in ("late", "cancelled", "third"):
            await peer.send(observation(n=n))

    async with json_server(script) as url, Env(url) as env:
        assert (await bounded(env.reset())).observation == {"n": "reset"}
        with pytest.raises(StepTimeout, match="passed over") as timeout:
            await env.step({}, timeout_s=SOON_S)
        assert timeout.value.session_usable is True
        task = asyncio.create_task(env.step({}))
        await asyncio.wait([task], timeout=SOON_S)
        task.cancel()
        await bounded(asyncio.wait([task]))
        assert (await bounded(env.step({}))).observation == {"n": "third"}


@requirement("step:no-mispairing", "session:fails-loudly")
async def test_json_answers_that_come_twice_end_the_session() -> None:
    # This wire has no ids: once an answer came unasked, no other can be trusted.
    closed = asyncio.Event()

    async def script(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send(observation(n="reset"))
        await peer.send(observation(n="reset again"))
        try:
            await peer.close()  # answered by a client that has read everything before it
        finally:
            closed.set()

    async with json_server(script) as url, Env(url) as env:
        await bounded(env.reset())
        # Behind the second answer on the same connection, so that it has been read for certain.
        await bounded(closed.wait())
        assert not env.connected
        with pytest.raises(SessionLost, match="unasked"):
            await env.step({})


@requirement("step:no-mispairing", "session:fails-loudly")
async def test_a_json_answer_of_another_kind_ends_the_session() -> None:
    async def script(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send(observation(n="reset"))
        await peer.request()
        await peer.send({"type": "state", "data": {}})

    async with json_server(script) as url, Env(url) as env:
        await bounded(env.reset())
        with pytest.raises(SessionLost, match=r"answered step\(\) with 'state'"):
            await bounded(env.step({}))
        assert not env.connected


@requirement("session:bad-frame-lives")
async def test_frames_that_a_client_does_not_understand_are_passed_over() -> None:
    async def script(peer: NativePeer) -> None:
        first = await peer.request()
        await peer.send_raw("text on the native wire")
        for message in (b"", b"\xc1", b"\x91" * 5000, msgspec.msgpack.encode([[99, 1, 2], "x", [18, 1]])):
            await peer.send_raw(message)
        await peer.send(Draining(3.0), Opened(55, "unasked"), Closed(56), Failure(57, 3, "NOVEL", "?"))
        await peer.send(reply(first, n="reset"))
        second = await peer.request()
        await peer.send_raw(msgspec.msgpack.encode([[18, second.sid, second.rid, {"n": "step"}, [], "of tomorrow"]]))

    async with native_server(script) as url, Env(url) as env:
        assert (await bounded(env.reset())).observation == {"n": "reset"}
        assert (await bounded(env.step({}))).observation == {"n": "step"}


async def test_an_answer_that_cannot_be_read_fails_its_own_call() -> None:
    async def script(peer: NativePeer) -> None:
        for _ in range(2):
            request = await peer.request()
            await peer.send_raw(msgspec.msgpack.encode([[18, request.sid, request.rid, {}, "no list"]]))
            request = await peer.request()
            await peer.send(reply(request, n=1))

    async with native_server(script) as url, Env(url) as env:
        for _ in range(2):
            with pytest.raises(EnvError, match="malformed frame"):
                await bounded(env.reset())
            assert (await bounded(env.reset())).observation == {"n": 1}


@pytest.mark.parametrize("message", ["nonsense", "[]", "3", b"\xff", '{"type":"error","data":3}', '{"data":{}}'])
async def test_a_json_answer_that_is_none(message: Any) -> None:
    async def script(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send_raw(message)

    async with json_server(script) as url, Env(url) as env:
        with pytest.raises(EnvError):
            await bounded(env.reset())


async def test_errors_of_a_peer_keep_their_code_and_fields() -> None:
    details = {"message": "again", "code": "again", "self": 1, "path": [1], "errors": "many", "depth": 3}

    async def native(peer: NativePeer) -> None:
        for code in ("EXECUTION_ERROR", "VALIDATION_ERROR", "NOVEL_ERROR"):
            request = await peer.request()
            await peer.send(Failure(request.sid, request.rid, code, f"about {code}", details))

    async def by_json(peer: JsonPeer) -> None:
        for code in ("EXECUTION_ERROR", "VALIDATION_ERROR", "NOVEL_ERROR"):
            await peer.request()
            await peer.send({"type": "error", "data": {**details, "message": f"about {code}", "code": code}})

    for server in (native_server(native), json_server(by_json)):
        async with server as url, Env(url) as env:
            with pytest.raises(EnvironmentFailed, match="about EXECUTION_ERROR") as failed:
                await bounded(env.reset())
            assert failed.value.details["depth"] == 3
            with pytest.raises(EnvError, match="about VALIDATION_ERROR"):
                await bounded(env.reset())
            with pytest.raises(EnvError, match="about NOVEL_ERROR .*NOVEL_ERROR"):
                await bounded(env.reset())


@requirement("client:openenv-server")
async def test_a_json_server_that_refuses_before_it_is_asked() -> None:
    async def script(peer: JsonPeer) -> None:
        full = {"message": "full", "code": "CAPACITY_REACHED", "active_sessions": 1, "max_sessions": 1}
        await peer.send({"type": "error", "data": full})
        await peer.close()

    async with json_server(script) as url, Env(url) as env:
        for _ in range(2):
            with pytest.raises(CapacityError, match="full") as refused:
                await bounded(env.reset())
            assert refused.value.max_sessions == 1


@requirement("session:fails-loudly")
@pytest.mark.parametrize("wire", ["native", "json"])
async def test_a_connection_that_breaks_during_a_call(wire: str) -> None:
    async def native(peer: NativePeer) -> None:
        await peer.send(reply(await peer.request(), n=1))
        await peer.request()
        await peer.drop()

    async def by_json(peer: JsonPeer) -> None:
        await peer.request()
        await peer.send(observation(n=1))
        await peer.request()
        await peer.drop()

    server = native_server(native) if wire == "native" else json_server(by_json)
    async with server as url, Env(url) as env:
        await bounded(env.reset())
        for _ in range(2):
            with pytest.raises(SessionLost, match="call reset"):
                await bounded(env.step({}))
        with pytest.raises(SessionLost, match="call reset"):
            await bounded(env.state())
        assert not env.connected
        assert (await bounded(env.reset())).observation == {"n": 1}
        assert env.connected


@requirement("session:fails-loudly")
async def test_a_session_that_the_server_ends_by_itself() -> None:
    ended = asyncio.Event()

    async def script(peer: NativePeer) -> None:
        request = await peer.request()
        await peer.send(reply(request, n=1))
        await peer.send(Closed(request.sid, "SERVER_CLOSING", "the server is stopping"))
        ended.set()
        await peer.send(reply(await peer.request(), n=2))

    async with native_server(script) as url, Env(url) as env, Env(url) as other:
        await bounded(env.reset())
        await bounded(ended.wait())
        assert (await bounded(other.reset())).observation == {"n": 2}  # sent after the close, on the same connection
        assert not env.connected
        with pytest.raises(SessionLost, match=r"the server is stopping; call reset\(\)"):
            await env.step({})


@requirement("client:connect-failed")
async def test_a_server_that_does_not_say_hello() -> None:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.typing import Subprotocol

    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def rude(socket: ServerConnection) -> None:
        await socket.send(b"\x91\x93\x15\x01\x01")

    for handler, words, patience_s in ((silent, "did not say hello", 0.2), (rude, "first frame was not a hello", 10)):
        async with serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol("openenv.v1")]) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(ConnectFailed, match=words):
                await bounded(Env.connect(f"http://127.0.0.1:{port}", connect_timeout_s=patience_s))


@requirement("client:connect-failed")
async def test_a_server_that_is_none_of_ours() -> None:
    from starlette.applications import Starlette
    from support.servers import serving

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with serving(Starlette()) as served:
        with pytest.raises(ConnectFailed, match="HTTP 40[34] instead of opening a WebSocket|refused") as failed:
            await bounded(Env.connect(served.url))
        assert failed.value.status in (403, 404)
    mail = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with mail:
        with pytest.raises(ConnectFailed):
            await bounded(Env.connect(f"127.0.0.1:{mail.sockets[0].getsockname()[1]}", connect_timeout_s=1))


@requirement("client:openenv-server")
async def test_a_problem_that_openenvs_server_lists_is_in_the_sentence() -> None:
    problems = [{"type": "missing", "loc": ["moves", 1, "x"], "msg": "Field required", "input": {}}]

    async def script(peer: JsonPeer) -> None:
        await peer.request()
        data = {"message": "Invalid message", "code": "VALIDATION_ERROR", "errors": problems}
        await peer.send({"type": "error", "data": data})

    async with json_server(script) as url, Env(url) as env:
        with pytest.raises(InvalidPayload, match=r"Invalid message: Field required at `moves\[1\]\.x`") as wrong:
            await bounded(env.reset())
        assert (wrong.value.path, wrong.value.errors) == ("moves[1].x", problems)
