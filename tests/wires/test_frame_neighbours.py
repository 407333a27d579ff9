"""Frames that the session's state does not allow, their neighbours, and what the JSON wire says besides errors."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from bad_input import WIRES, goes_on, is_error, playing
from requirements import requirement
from support.play_env import play_app
from support.raw_clients import RawNative, raw_client, raw_json, raw_native, raw_socket
from support.servers import Journal, Served, bounded, serving

from openenv_async.protocol.frames import Failure, Reply, Step, encode_batch


@requirement("session:bad-frame-lives")
async def test_a_bad_frame_does_not_hide_those_beside_it_nor_touch_other_sessions() -> None:
    async with serving(play_app(Journal())) as served, raw_native(served.url) as client:
        await client.open(2)
        await client.reset(1)
        await client.reset(2)
        good = [Step(sid, client.next_rid(sid), msgspec.Raw(client.encode({"n": sid}))) for sid in (1, 2)]
        bad = msgspec.msgpack.encode([3, 1, "x", {}])
        frames = [encode_batch([good[0]])[1:], bad, b"\x93\x63\x01\x01", encode_batch([good[1]])[1:]]
        await bounded(client.socket.send(bytes([0x90 | len(frames)]) + b"".join(frames)))
        heard = [await client.hear() for _ in frames]
        assert {(f.sid, f.code) for f in heard if isinstance(f, Failure)} == {
            (1, "VALIDATION_ERROR"),
            (1, "UNKNOWN_TYPE"),
        }
        assert {(f.sid, f.rid) for f in heard if isinstance(f, Reply)} == {(1, 2), (2, 2)}


@requirement("session:bad-frame-lives")
@pytest.mark.parametrize("timeout_s", [float("nan"), float("-inf"), -1.0, 0.0])
async def test_a_deadline_that_makes_no_sense_is_refused(timeout_s: float) -> None:
    # A NaN among the loop's timers would stop the whole server.
    async with playing("native", "thread") as client:
        assert isinstance(client, RawNative)
        for frame in ([3, 1, client.next_rid(), {"n": 1}, timeout_s], [4, 1, client.next_rid(), timeout_s]):
            is_error(await client.say(msgspec.msgpack.encode([frame])), "VALIDATION_ERROR", "timeout_s")
        await goes_on(client)


@pytest.mark.parametrize("timeout_s", [float("inf"), 1e300])
async def test_an_endless_deadline_is_none(timeout_s: float) -> None:
    async with playing("native", "thread") as client:
        assert isinstance(client, RawNative)
        frame = [3, 1, client.next_rid(), {"n": 1}, timeout_s]
        assert (await client.say(msgspec.msgpack.encode([frame]))).total == 2


@requirement("session:bad-frame-lives")
async def test_requests_that_the_sessions_state_does_not_allow() -> None:
    async with playing("native") as client:
        assert isinstance(client, RawNative)
        is_error(await client.step(sid=9, n=1), "SESSION_LOST", "no session 9")
        is_error(await client.ask(Step(1, 1, msgspec.Raw(b"\x80"))), "VALIDATION_ERROR", "ids only grow")
        is_error(await client.say(msgspec.msgpack.encode([[1, 1]])), "VALIDATION_ERROR", "ids only grow")
        is_error(await client.say(msgspec.msgpack.encode([[1, -4]])), "VALIDATION_ERROR", "ids only grow")
        await goes_on(client)


@requirement("session:bad-frame-lives")
@WIRES
async def test_a_neighbour_plays_on_while_another_sends_rubbish(wire: str) -> None:
    async def rubbish(served: Served) -> None:
        async with raw_client(wire, served.url) as client:
            for number in range(20):
                message = f"rubbish {number}"
                assert (await client.say(message if wire == "json" else message.encode())).code

    async def play(served: Served) -> None:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            for number in range(20):
                assert (await client.step(n=1)).total == number + 1

    async with serving(play_app(Journal())) as served:
        await bounded(asyncio.gather(rubbish(served), play(served), rubbish(served), play(served)))


@requirement("values:json", "json:python-writer")
async def test_what_pythons_writer_writes_beyond_json_is_understood() -> None:
    # OpenEnv's clients use json.dumps, which writes NaN, Infinity and lone surrogates.
    async with playing("json") as client:
        said = await client.say('{"type":"step","data":{"op":"echo","value":[NaN,-Infinity,"\\ud800"]}}')
        assert said.body["value"] == [None, None, "\ud800"]
        is_error(await client.say('{"type":"step","data":{"n":NaN}}'), "VALIDATION_ERROR", "n")
        await goes_on(client)


async def test_mcp_is_answered_in_its_own_words() -> None:
    async with playing("json") as client:
        await bounded(client.socket.send('{"type":"mcp","data":{"jsonrpc":"2.0","method":"tools/list","id":7}}'))
        reply = msgspec.json.decode(await bounded(client.socket.recv()))
        assert (reply["type"], reply["data"]["id"]) == ("mcp", 7)
        assert reply["data"]["error"]["code"] == -32603
        await goes_on(client)


@requirement("slot:freed")
async def test_a_closed_json_session_ends_its_connection_when_the_slot_is_free() -> None:
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=1)) as served:
        for _ in range(3):
            async with raw_json(served.url) as client:
                await client.reset()
                await bounded(client.socket.send('{"type":"close"}'))
                await bounded(client.socket.wait_closed())
                assert client.socket.close_code == 1000
        assert (journal.count("built"), journal.count("closed")) == (3, 3)


@requirement("server:one-cap")
async def test_a_json_client_beyond_the_cap_is_told_and_closed() -> None:
    async with serving(play_app(Journal(), max_concurrent_envs=1)) as served, raw_json(served.url):
        async with raw_socket(served.url, native=False) as socket:
            refusal = msgspec.json.decode(await bounded(socket.recv()))
            assert refusal["type"] == "error"
            assert refusal["data"]["code"] == "CAPACITY_REACHED"
            assert (refusal["data"]["active_sessions"], refusal["data"]["max_sessions"]) == (1, 1)
            await bounded(socket.wait_closed())
