"""What is no proper request: a typed error, and the session steps on with the right result. Both wires, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from live import Journal, Served, bounded, serving
from live_envs import Execution, play_app
from raw_clients import RawClient, RawNative, Said, raw_client, raw_json, raw_native, raw_socket
from requirements import requirement
from websockets.exceptions import ConnectionClosedError

from openenv_async.protocol.frames import Failure, Reply, Step, encode_batch

DEEP = 100_000
WIRES = pytest.mark.parametrize("wire", ["json", "native"])
EXECUTIONS = pytest.mark.parametrize("execution", ["inline", "thread"])


@contextlib.asynccontextmanager
async def playing(
    wire: str, execution: Execution = "inline", journal: Journal | None = None, **options: Any
) -> AsyncIterator[RawClient]:
    """A session that has been reset and has made one step: its total is 1."""
    async with serving(play_app(journal or Journal(), execution, **options)) as served:
        async with raw_client(wire, served.url) as client:
            assert (await client.reset(seed=1)).total == 0
            assert (await client.step(n=1)).total == 1
            yield client


async def goes_on(client: RawClient) -> None:
    """The same environment answers, and no step was made but those asked for."""
    assert (await client.step(n=1)).total == 2
    assert (await client.state()).body["total"] == 2


def is_error(said: Said, code: str, *words: str) -> None:
    assert said.code == code, said
    assert said.details["fault"] in ("task", "infrastructure")
    for word in words:
        assert word in said.message + str(said.details), said


def deep_list(wire: str, depth: int = DEEP) -> bytes:
    return b"[" * depth + b"]" * depth if wire == "json" else b"\x91" * depth + b"\x90"


NOT_JSON = ["", " ", "nonsense", "{", '{"type":"state"', '{"type":"state"}x', "{'type':'state'}", '{"type":"state",}']
NOT_MSGPACK = [b"", b"\xc1", b"\x92\x91", b"\x91\xc1", b"\xdd\xff\xff\xff\xff", b"{}", b"\x91\x93\x03\x01\x01\x00\x00"]


@requirement("bad-input:not-json")
@pytest.mark.parametrize("text", NOT_JSON)
async def test_text_that_is_no_json(text: str) -> None:
    async with playing("json") as client:
        is_error(await client.say(text), "INVALID_JSON", "Invalid JSON")
        await goes_on(client)


@requirement("bad-input:not-json")
@pytest.mark.parametrize("message", NOT_MSGPACK)
async def test_bytes_that_are_no_frames(message: bytes) -> None:
    async with playing("native") as client:
        is_error(await client.say(message), "INVALID_JSON", "msgpack array of frames")
        await goes_on(client)


@requirement("bad-input:no-object")
@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "true", "1.5"])
async def test_json_that_is_no_object(text: str) -> None:
    async with playing("json") as client:
        said = await client.say(text)
        is_error(said, "VALIDATION_ERROR", "must be a JSON object")
        assert said.details["errors"][0]["type"] == "dict_type"
        await goes_on(client)


@requirement("bad-input:no-object")
@pytest.mark.parametrize("value", [3, {"a": 1}, None, "x", [3], [None], [[]], [{}]])
async def test_msgpack_that_is_no_list_of_frames(value: Any) -> None:
    async with playing("native") as client:
        said = await client.say(msgspec.msgpack.encode(value))
        assert said.code in ("INVALID_JSON", "VALIDATION_ERROR"), said
        await goes_on(client)


@requirement("bad-input:no-object")
@WIRES
@pytest.mark.parametrize("action", [3, None, "x", [], [{"n": 1}], True])
async def test_an_action_that_is_no_object(wire: str, action: Any) -> None:
    async with playing(wire) as client:
        is_error(await client.step_bytes(client.encode(action)), "VALIDATION_ERROR", "object")
        await goes_on(client)


@requirement("bad-input:deep-nesting")
@WIRES
@EXECUTIONS
async def test_a_whole_message_nested_deep(wire: str, execution: Execution) -> None:
    async with playing(wire, execution) as client:
        deep = deep_list(wire)
        said = await client.say(deep.decode() if wire == "json" else deep)
        assert said.code in ("INVALID_JSON", "VALIDATION_ERROR"), said.code
        await goes_on(client)


@requirement("bad-input:deep-nesting")
@WIRES
@EXECUTIONS
async def test_an_action_nested_deep(wire: str, execution: Execution) -> None:
    async with playing(wire, execution) as client:
        value = deep_list(wire)
        payload = b'{"value":' + value + b"}" if wire == "json" else b"\x81\xa5value" + value
        said = await client.step_bytes(payload)
        assert said.code in ("INVALID_JSON", "VALIDATION_ERROR"), said.code
        assert "deep" in said.message
        await goes_on(client)


@requirement("bad-input:deep-nesting")
@WIRES
async def test_nesting_that_is_merely_unusual_is_no_error(wire: str) -> None:
    async with playing(wire) as client:
        value = deep_list(wire, 100)
        payload = b'{"value":' + value + b"}" if wire == "json" else b"\x81\xa5value" + value
        assert (await client.step_bytes(payload)).total == 1
        await goes_on(client)


@requirement("bad-input:wrong-frame-kind")
async def test_a_binary_frame_on_the_json_wire() -> None:
    async with playing("json") as client:
        is_error(await client.say(b'{"type":"state"}'), "INVALID_JSON", "text messages only")
        is_error(await client.say(b"\xff\xfe\x00"), "INVALID_JSON", "text messages only")
        await goes_on(client)


@requirement("bad-input:wrong-frame-kind")
async def test_a_text_frame_on_the_native_wire() -> None:
    async with playing("native") as client:
        is_error(await client.say('{"type":"state"}'), "INVALID_JSON", "binary messages only")
        await goes_on(client)


@requirement("bad-input:utf8")
async def test_invalid_utf8_in_native_values() -> None:
    async with playing("native") as client:
        for payload in (b"\x81\xa2op\xa1\xff", b"\x81\xa1\xff\x01", b"\x81\xa5value\x91\xa2\xc3\x28"):
            is_error(await client.step_bytes(payload), "VALIDATION_ERROR", "UTF-8")
        # In a frame's own field: the tag and ids can be read, so the answer goes to the request.
        assert isinstance(client, RawNative)
        rid = client.next_rid()
        said = await client.say(b"\x91\x95\x03\x01" + bytes([rid]) + b"\x80\xa1\xff")
        is_error(said, "VALIDATION_ERROR")
        await goes_on(client)


@requirement("bad-input:utf8", "close:once", "slot:freed")
@WIRES
async def test_invalid_utf8_in_a_text_frame_ends_that_connection_alone(wire: str) -> None:
    # RFC 6455 (8.1): the WebSocket layer must fail such a connection; no application sees the message.
    journal = Journal()
    async with serving(play_app(journal, max_concurrent_envs=2)) as served, raw_native(served.url) as other:
        async with raw_client(wire, served.url) as client:
            await client.reset()
            await bounded(client.socket.send(b'{"type":"\xff"}', text=True))
            with pytest.raises(ConnectionClosedError) as closed:
                await bounded(client.socket.recv())
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007
        await journal.until("closed")
        async with raw_native(served.url) as third:  # waits until the slot is free
            await third.reset()
        assert (await other.reset()).total == 0
        assert (await other.step(n=5)).total == 5
        await journal.until("closed", 2)
        assert journal.count("closed") == 2


@requirement("bad-input:unknown-type")
@pytest.mark.parametrize("text", ['{"type":"nope"}', "{}", '{"type":null}', '{"type":3}', '{"type":{}}', '{"type":""}'])
async def test_an_unknown_type_of_message(text: str) -> None:
    async with playing("json") as client:
        is_error(await client.say(text), "UNKNOWN_TYPE", "Unknown message type")
        await goes_on(client)


@requirement("bad-input:unknown-type")
@pytest.mark.parametrize("tag", [0, 99, 17])
async def test_an_unknown_type_of_frame(tag: int) -> None:
    async with playing("native") as client:
        is_error(await client.say(msgspec.msgpack.encode([[tag, 1, 2]])), "UNKNOWN_TYPE", str(tag))
        await goes_on(client)


@requirement("bad-input:missing-key", "bad-input:extra-key")
@pytest.mark.parametrize(
    ("text", "field", "kind"),
    [
        ('{"type":"step"}', "data", "missing"),
        ('{"type":"step","data":{},"k":1}', "k", "extra_forbidden"),
        ('{"type":"reset","seed":1}', "seed", "extra_forbidden"),
        ('{"type":"state","data":{}}', "data", "extra_forbidden"),
        ('{"type":"close","data":{}}', "data", "extra_forbidden"),
        ('{"type":"step","data":null}', "data", "dict_type"),
        ('{"type":"reset","data":[]}', "data", "dict_type"),
        ('{"type":"mcp"}', "data", "missing"),
    ],
)
async def test_a_message_with_missing_or_extra_keys(text: str, field: str, kind: str) -> None:
    async with playing("json") as client:
        said = await client.say(text)
        is_error(said, "VALIDATION_ERROR", field)
        assert (said.details["path"], said.details["errors"][0]["type"]) == (field, kind)
        await goes_on(client)


@requirement("bad-input:missing-key")
@pytest.mark.parametrize("frame", [[3, 1, 2], [3, 1], [3], [2, 1, 2], [1]])
async def test_a_frame_with_missing_fields(frame: list[int]) -> None:
    async with playing("native") as client:
        is_error(await client.say(msgspec.msgpack.encode([frame])), "VALIDATION_ERROR", "frame")
        await goes_on(client)


async def test_a_frame_with_fields_of_a_later_version_is_played() -> None:
    async with playing("native") as client:
        assert isinstance(client, RawNative)
        frame = [3, 1, client.next_rid(), {"n": 1}, None, "a field of tomorrow"]
        assert (await client.say(msgspec.msgpack.encode([frame]))).total == 2
        assert (await client.step(n=1)).total == 3


@requirement("bad-input:wrong-value")
@pytest.mark.parametrize(
    "frame", [["3", 1, 2, {}], [3, "1", 2, {}], [3, 1, None, {}], [3, 1, 2, {}, "soon"], [3, 1.5, 2, {}], [5, {}]]
)
async def test_a_frame_with_values_of_wrong_types(frame: list[Any]) -> None:
    async with playing("native") as client:
        is_error(await client.say(msgspec.msgpack.encode([frame])), "VALIDATION_ERROR")
        await goes_on(client)


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


@requirement("values:json")
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


async def test_a_json_client_beyond_the_cap_is_told_and_closed() -> None:
    async with serving(play_app(Journal(), max_concurrent_envs=1)) as served, raw_json(served.url):
        async with raw_socket(served.url, native=False) as socket:
            refusal = msgspec.json.decode(await bounded(socket.recv()))
            assert refusal["type"] == "error"
            assert refusal["data"]["code"] == "CAPACITY_REACHED"
            assert (refusal["data"]["active_sessions"], refusal["data"]["max_sessions"]) == (1, 1)
            await bounded(socket.wait_closed())
