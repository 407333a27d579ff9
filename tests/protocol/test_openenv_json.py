"""OpenEnv's JSON messages: what is read, what is refused and how, and what the replies look like."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv_async.errors import EnvError, InvalidMessage, InvalidPayload, UnknownType
from openenv_async.protocol.error_mapping import WireError, describe
from openenv_async.protocol.openenv_json import KINDS, failure, read_message, read_request, reply

GOOD = {
    '{"type":"reset"}': ("reset", {}),
    '{"type":"reset","data":{}}': ("reset", {}),
    '{"type":"reset","data":{"seed":7,"mode":"easy"}}': ("reset", {"seed": 7, "mode": "easy"}),
    '{"data":{"message":"hi"},"type":"step"}': ("step", {"message": "hi"}),
    ' {"type" : "step" , "data" : \n {"message": "\\u00e9"}} ': ("step", {"message": "é"}),
    '{"type":"state"}': ("state", {}),
    '{"type":"close"}': ("close", {}),
    '{"type":"mcp","data":{"jsonrpc":"2.0"}}': ("mcp", {"jsonrpc": "2.0"}),
    '{"type":"step","data":{"a":1},"data":{"b":2}}': ("step", {"b": 2}),
    '{"\\u0074ype":"reset"}': ("reset", {}),
}


@pytest.mark.parametrize(("text", "expected"), GOOD.items(), ids=list(GOOD))
def test_a_request_is_read(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    request = read_request(text)
    assert (request.kind, json.loads(bytes(request.data))) == expected


DEEP = "[" * 100_000 + "]" * 100_000
DEEP_OBJECT = '{"a":' * 100_000 + "1" + "}" * 100_000

BAD: dict[str, tuple[str | bytes, type[EnvError], str, str]] = {
    "binary": (b'{"type":"reset"}', InvalidMessage, "", "binary message"),
    "empty": ("", InvalidMessage, "", "Invalid JSON"),
    "no JSON": ("hello", InvalidMessage, "", "Invalid JSON"),
    "truncated": ('{"type":"reset"', InvalidMessage, "", "Invalid JSON"),
    "two messages": ('{"type":"reset"}{"type":"reset"}', InvalidMessage, "", "Invalid JSON"),
    "NaN where an object belongs": ('{"type":"step","data":NaN}', InvalidPayload, "data", "must be an object"),
    "NaN and no JSON": ('{"type":"step","data":{"x":NaN}', InvalidMessage, "", "Invalid JSON"),
    "lone surrogate": ('{"type":"step","data":"\ud800"}', InvalidMessage, "", "Invalid JSON"),
    "an array nested too deep": (DEEP, InvalidPayload, "", "must be a JSON object"),
    "objects nested too deep": (DEEP_OBJECT, InvalidMessage, "", "nested too deep"),
    "data nested too deep": ('{"type":"step","data":' + DEEP_OBJECT + "}", InvalidMessage, "", "nested too deep"),
    "an array": ("[]", InvalidPayload, "", "must be a JSON object"),
    "a number": ("5", InvalidPayload, "", "must be a JSON object"),
    "null": ("null", InvalidPayload, "", "must be a JSON object"),
    "no type": ("{}", UnknownType, "", "Unknown message type: "),
    "unknown type": ('{"type":"jump"}', UnknownType, "", "Unknown message type: jump"),
    "type of another case": ('{"type":"Reset"}', UnknownType, "", "Unknown message type: Reset"),
    "type is a number": ('{"type":5}', UnknownType, "", "Unknown message type: 5"),
    "type is an object": ('{"type":{"a":1}}', UnknownType, "", "Unknown message type: "),
    "type is a lone surrogate": ('{"type":"\\ud800"}', UnknownType, "", "Unknown message type: "),
    "unknown key": ('{"type":"reset","seed":1}', InvalidPayload, "seed", "unknown key 'seed' in a reset message"),
    "data where none belongs": ('{"type":"state","data":{}}', InvalidPayload, "data", "unknown key 'data'"),
    "step without data": ('{"type":"step"}', InvalidPayload, "data", "needs `data`"),
    "data is an array": ('{"type":"step","data":[1]}', InvalidPayload, "data", "must be an object"),
    "data is null": ('{"type":"reset","data":null}', InvalidPayload, "data", "must be an object"),
    "data is text": ('{"type":"step","data":"{}"}', InvalidPayload, "data", "must be an object"),
}


@pytest.mark.parametrize(("message", "error", "path", "words"), BAD.values(), ids=list(BAD))
def test_a_bad_request_is_refused_with_its_field(
    message: str | bytes, error: type[EnvError], path: str, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        read_request(message)
    assert type(caught.value) is error
    assert caught.value.details.get("path", "") == path
    sent = json.loads(failure(describe(caught.value)))
    assert sent["data"]["code"] == error.code
    assert len(sent["data"]["message"]) < 500


@given(st.text())
def test_no_text_escapes_as_another_exception(text: str) -> None:
    for message in (text, '{"type":' + text, '{"type":"step","data":{' + text):
        try:
            request = read_request(message)
        except EnvError:
            continue
        assert request.kind in KINDS


def test_a_reply_wraps_what_is_json_already() -> None:
    assert reply("observation", b'{"observation":{},"reward":null,"done":false}') == (
        '{"type":"observation","data":{"observation":{},"reward":null,"done":false}}'
    )
    assert json.loads(reply("state", b'{"a":"\xc3\xa9"}')) == {"type": "state", "data": {"a": "é"}}


def test_warnings_go_beside_the_data() -> None:
    sent = json.loads(reply("observation", b"{}", ('the environment ignores "seed"',)))
    assert sent == {"type": "observation", "data": {}, "warnings": ['the environment ignores "seed"']}


def test_a_failure_says_message_and_code_first_and_details_never_replace_them() -> None:
    details = {"path": "x.y", "message": "other", "code": "OTHER"}
    text = failure(WireError("VALIDATION_ERROR", "x.y: missing", details))
    assert text.startswith('{"type":"error","data":{"message":"x.y: missing","code":"VALIDATION_ERROR"')
    assert json.loads(text)["data"] == {"message": "x.y: missing", "code": "VALIDATION_ERROR", "path": "x.y"}


def test_data_stays_raw_until_its_class_is_known() -> None:
    request = read_request('{"type":"step","data":{"big":123456789012345678901234567890}}')
    assert isinstance(request.data, msgspec.Raw)
    assert bytes(request.data) == b'{"big":123456789012345678901234567890}'


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"\\ud800"'])
def test_what_pythons_writer_writes_beyond_json_is_read(value: str) -> None:
    # OpenEnv's clients and servers write with json.dumps.
    request = read_request('{"type":"step","data":{"x":' + value + "}}")
    assert request.kind == "step"
    assert json.loads(bytes(request.data)) == pytest.approx(json.loads('{"x":' + value + "}"), nan_ok=True)
    message = read_message('{"type":"state","data":{"x":' + value + "}}")
    assert message.type == "state"
    assert bytes(message.data) == bytes(request.data)


@pytest.mark.parametrize("text", ["", "[]", "NaN", '{"type":"\\ud800"', '{"type":3}', b"\xff", DEEP])
def test_an_answer_that_is_none_is_one_error(text: Any) -> None:
    with pytest.raises(InvalidMessage, match="not OpenEnv's JSON"):
        read_message(text)


def test_an_answer_of_a_strange_type_is_read_as_such() -> None:
    assert read_message('{"type":"\\ud800"}').type == ""
    assert read_message('{"type":NaN}').type == ""
    assert read_message("{}").type == ""
