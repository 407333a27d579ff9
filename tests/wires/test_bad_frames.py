"""What is no proper request: a typed error, and the session steps on with the right result."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from bad_input import EXECUTIONS, WIRES, goes_on, is_error, playing
from requirements import requirement
from support.play_env import Execution, play_app
from support.raw_clients import RawNative, raw_client, raw_native
from support.servers import Journal, bounded, serving
from websockets.exceptions import ConnectionClosedError

DEEP = 100_000


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
            with pytest.raises(ConnectionClosedError):
                await bounded(client.socket.recv())
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
