"""OpenEnv's JSON wire, as OpenEnv 0.10.0 speaks it: reads and writes its text messages.

One session per connection, one reply per request, in order; `codec` encodes the values
inside (`data`).
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

from openenv_async.errors import InvalidMessage, InvalidPayload, UnknownType
from openenv_async.protocol.error_mapping import WireError, printable

Kind = Literal["reset", "step", "state", "close", "mcp", "metadata", "web"]
KINDS: tuple[Kind, ...] = ("reset", "step", "state", "close", "mcp")
"""OpenEnv's own. `metadata` and `web` are for connections of the web page alone; see `server.web.page_messages`."""


class JsonRequest(msgspec.Struct, frozen=True, gc=False):
    """One message of the client. `data` is the action itself for `step`, the arguments for `reset`."""

    kind: Kind
    data: msgspec.Raw


class _RpcId(msgspec.Struct):
    id: int | str | None = None


_EMPTY = msgspec.Raw(b"{}")
_NO_TEXT = msgspec.Raw(b'""')
_ENVELOPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_BEYOND_JSON = re.compile(r"NaN|Infinity|\\u[dD][89a-fA-F]")
"""What Python's JSON writer writes and msgspec does not read: OpenEnv's clients and server use it."""


def read_object(text: str) -> dict[str, msgspec.Raw]:
    """Read the keys of a JSON object; their values stay text.

    Raises:
        InvalidMessage: not JSON, or nested too deep.
        InvalidPayload: JSON, but not an object.
    """
    try:
        return _ENVELOPE.decode(text)
    except msgspec.ValidationError as exc:
        raise _invalid([], f"the message must be a JSON object: {exc}", "dict_type") from exc
    except (msgspec.DecodeError, UnicodeError) as exc:
        lenient = _read_leniently(text)
        if lenient is not None:
            return lenient
        raise InvalidMessage(f"Invalid JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidMessage("Invalid JSON: the message is nested too deep") from exc


def _read_leniently(text: str) -> dict[str, msgspec.Raw] | None:
    if not _BEYOND_JSON.search(text):
        return None
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            return None
        # Written again by the same writer, for the codec that reads the value.
        return {key: msgspec.Raw(json.dumps(value).encode()) for key, value in fields.items()}
    except (ValueError, RecursionError):
        return None


def read_request(message: str | bytes) -> JsonRequest:
    """Read one message.

    Raises:
        InvalidMessage: not text, not JSON, or nested too deep.
        UnknownType: `type` is not one of OpenEnv's.
        InvalidPayload: the message is not an object, or has keys that its type does not take.
    """
    if not isinstance(message, str):
        raise InvalidMessage("Invalid JSON: this wire takes text messages only, and got a binary message")
    fields = read_object(message)
    kind = _read_kind(fields)
    unknown = sorted(set(fields) - ({"type", "data"} if kind in ("reset", "step", "mcp") else {"type"}))
    if unknown:
        raise _invalid(unknown[:1], f"unknown key {printable(unknown[0])!r} in a {kind} message")
    if kind in ("step", "mcp") and "data" not in fields:
        raise _invalid(["data"], f"a {kind} message needs `data`: an object", "missing")
    data = fields.get("data", _EMPTY)
    if bytes(data).lstrip()[:1] != b"{":
        raise _invalid(["data"], "`data` must be an object", "dict_type")
    return JsonRequest(kind, data)


class JsonMessage(msgspec.Struct, frozen=True, gc=False):
    """One message of the server; `warnings` is this package's own."""

    type: str = ""
    data: msgspec.Raw = _EMPTY
    warnings: tuple[str, ...] = ()


_MESSAGE = msgspec.json.Decoder(JsonMessage)


def read_message(message: str | bytes) -> JsonMessage:
    """Read one message of the server.

    Raises:
        InvalidMessage: it is not one.
    """
    try:
        return _MESSAGE.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        fields = _read_leniently(message) if isinstance(message, str) else None
        if fields is None:
            raise InvalidMessage(f"the server's answer is not OpenEnv's JSON: {exc}") from exc
        return JsonMessage(_text(fields.get("type", _NO_TEXT)) or "", fields.get("data", _EMPTY))


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return _TEXT.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _read_kind(fields: dict[str, msgspec.Raw]) -> Kind:
    raw = fields.get("type", _NO_TEXT)
    name = _text(raw)
    if name is None:
        name = bytes(raw)[:40].decode("utf-8", "backslashreplace")
    for kind in KINDS:
        if kind == name:
            return kind
    raise UnknownType(f"Unknown message type: {printable(name)}")


def _invalid(loc: list[str], text: str, type_: str = "extra_forbidden") -> InvalidPayload:
    problem = {"type": type_, "loc": [printable(part) for part in loc], "msg": text}
    return InvalidPayload(f"Invalid message: {text}", path=".".join(problem["loc"]), errors=[problem])


def reply(
    kind: Literal["observation", "state", "mcp", "metadata", "web"], data: bytes, warnings: tuple[str, ...] = ()
) -> str:
    """Return the text of a reply around `data`, which is JSON already.

    `warnings` are a key of their own: OpenEnv does not have it, and its clients ignore unknown keys.
    """
    more = ',"warnings":' + _ENCODER.encode(warnings).decode() if warnings else ""
    return '{"type":"' + kind + '","data":' + data.decode() + more + "}"


def no_mcp(data: msgspec.Raw) -> bytes:
    """Return the JSON-RPC answer of an environment without MCP tools, with OpenEnv's text."""
    try:
        request_id = msgspec.json.decode(data, type=_RpcId).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        request_id = None
    error = {"code": -32603, "message": "Environment does not support MCP", "data": None}
    return _ENCODER.encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def failure(error: WireError) -> str:
    """Return the text of an error reply: `message` and `code` first, then the error's other fields."""
    data: dict[str, Any] = {"message": error.message, "code": error.code}
    data.update((key, value) for key, value in error.details.items() if key not in data)
    return _ENCODER.encode({"type": "error", "data": data}).decode()
