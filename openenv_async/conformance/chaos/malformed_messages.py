"""Malformed messages: each is answered with an error, and the session goes on."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from openenv_async.conformance.findings import CheckOutcome, NotJudged, PromiseBroken
from openenv_async.conformance.server.bad_messages import NOT_AN_OBJECT, NOT_JSON, UNKNOWN_FIELD, UNKNOWN_TYPE
from openenv_async.conformance.server.baseline import unreachable
from openenv_async.conformance.server.context import ContextCheck, ServerContext
from openenv_async.conformance.server.raw_socket import (
    TEXT,
    RawSocket,
    error_in,
    frame,
    open_socket,
    read_object,
    request,
)
from openenv_async.errors import EnvError
from openenv_async.protocol.batching import CLIENT_SIDE
from openenv_async.protocol.frames import (
    SUBPROTOCOL,
    AnyFrame,
    Close,
    Failure,
    GetState,
    Hello,
    Open,
    Reset,
    encode_batch,
)
from openenv_async.transport.link import LinkClosed, Message

_EXPECTED = "an error that says what is wrong, and the session lives"
_CLOSED = "a connection that is closed, as WebSocket requires, or an error"
_DEPTH = 100_000
_LARGE = 17 * 1024 * 1024
"""Larger than the 16 MiB that WebSocket servers accept by default."""

_NOISE_BYTES = 200
_UNKNOWN_TAG = msgspec.msgpack.encode([[99, 1, 1]])
_INVALID_DATA = 1007
"""The code of RFC 6455 for text that is not UTF-8."""


def sends(what: str, message: Message) -> ContextCheck:
    """Return a check that sends one message in the middle of an episode on the JSON wire."""

    async def check(context: ServerContext) -> CheckOutcome:
        said = await _send(context, what, message)
        if said.get("type") != "error":
            raise PromiseBroken(_EXPECTED, f"{what} was answered with {said.get('type')!r}, as if nothing were wrong")
        answer = " ".join(str(error_in(said)).split())[:90]
        return CheckOutcome(f"refused ({_code(said)}: {answer}), and the session lives")

    return check


async def _send(context: ServerContext, what: str, message: Message) -> dict[str, Any]:
    """Send a message, and after an error a step; return the answer to the message."""
    async with context.session() as raw:
        try:
            said = await raw.ask(message)
        except LinkClosed as error:
            text = f"{what} ended the session: {error.reason} (close code {error.code})"
            raise PromiseBroken(_EXPECTED, text) from None
        if said.get("type") != "error":
            return said
        try:
            after = await raw.ask(request("step", context.actions[0]))
        except LinkClosed as error:
            text = f"{what} was answered with an error, and the session ended: {error.reason}"
            raise PromiseBroken(_EXPECTED, text) from None
    if after.get("type") != "observation":
        text = f"after {what}, a step was answered with {after.get('type')!r}: {after.get('data')}"
        raise PromiseBroken(_EXPECTED, text)
    return said


def _code(said: dict[str, object]) -> object:
    data = said.get("data")
    return data.get("code") if isinstance(data, dict) else None


async def size(context: ServerContext) -> CheckOutcome:
    """Send an action that is too large, by what the server says or by what WebSocket servers usually accept."""
    told = None if context.hello is None else context.hello.limits.get("max_message_bytes")
    large = min(_LARGE, told + 1) if isinstance(told, int) else _LARGE
    # The field is not the action's: a server that accepts the message still has to refuse the action.
    text = '{"type":"step","data":{"' + UNKNOWN_FIELD + '":"' + "x" * large + '"}}'
    what = f"an action of {large / 2**20:.0f} MiB" if large >= 2**20 else f"an action of {large:,} bytes"
    said = await _send(context, what, text)
    if said.get("type") != "error":
        raise NotJudged(f"{what}, with a field that is not the action's, was played")
    return CheckOutcome(f"{what} is refused ({_code(said)}), and the session lives")


async def utf8(context: ServerContext) -> CheckOutcome:
    """Send text that is not UTF-8: the one message after which a WebSocket must be closed, with its own code."""
    async with context.session() as raw:
        raw.write(frame(TEXT, b'{"type":"step","data":{"x":"\xff\xfe"}}'))
        try:
            said = read_object(await raw.receive())
        except LinkClosed as error:
            if error.code == _INVALID_DATA:
                return CheckOutcome("the connection is closed with 1007, as WebSocket requires")
            if reason := await unreachable(context):
                raise PromiseBroken(_CLOSED, f"the server does not answer any longer: {reason}") from None
            return CheckOutcome(f"the connection is closed, as WebSocket requires, though with {error.code}, not 1007")
    if said.get("type") != "error":
        raise PromiseBroken(_CLOSED, f"it was answered: {said.get('type')!r}")
    return CheckOutcome(f"refused ({_code(said)})")


async def native(context: ServerContext) -> CheckOutcome:
    """Send malformed messages on the native wire, then play a session on the same connection."""
    if context.hello is None:
        raise NotJudged("the server does not speak the native wire")
    raw = await open_socket(context.target, SUBPROTOCOL)
    try:
        await _native(raw)
    except LinkClosed as error:
        raise PromiseBroken(_EXPECTED, f"the connection ended: {error.reason} (close code {error.code})") from None
    finally:
        raw.cut("FIN")
    return CheckOutcome(
        "text, noise, an unknown frame and deep nesting each got a failure, and a session played on after them"
    )


async def _native(raw: RawSocket) -> None:
    frames = await _frames(raw)
    if not isinstance(frames[0], Hello):
        raise PromiseBroken("a hello as the first frame", f"the first frame was a {type(frames[0]).__name__}")
    noise = b"\xc1" + random.Random(7).randbytes(_NOISE_BYTES)  # no message begins with this byte
    deep = b"\x91" * _DEPTH + b"\xc0"
    for what, message in (("text", "hello?"), ("noise", noise), ("an unknown frame", _UNKNOWN_TAG), ("nesting", deep)):
        await raw.send(message)
        got = (await _frames(raw))[0]
        if not isinstance(got, Failure):
            raise PromiseBroken(_EXPECTED, f"{what} was answered with a {type(got).__name__}")
    names: list[str] = []
    play: list[AnyFrame] = [Open(1), Reset(1, 1, msgspec.Raw(b"\x80")), GetState(1, 2)]
    close: list[AnyFrame] = [Close(1)]
    for batch, wanted in ((play, 3), (close, 4)):
        await raw.send(encode_batch(batch))
        while len(names) < wanted:
            names += [type(each).__name__ for each in await _frames(raw)]
            if names[0] == "Failure":
                raise NotJudged("the server has no slot for a session after it")
    if names[0] != "Opened" or names[-1] != "Closed":
        raise PromiseBroken("a session that opens, plays and closes after it", f"the server said {', '.join(names)}")


async def _frames(raw: RawSocket) -> list[object]:
    message = await raw.receive()
    if not isinstance(message, bytes):
        raise PromiseBroken("binary messages", "the server sent text on the native wire")
    try:
        frames: list[object] = list(CLIENT_SIDE.decode(message))
    except msgspec.DecodeError as error:
        raise EnvError(f"the server's message cannot be read: {error}") from None
    if not frames:
        raise EnvError("the server sent a message without a frame")
    return frames


not_json = sends("what is not JSON", NOT_JSON)
not_an_object = sends("JSON that is not an object", NOT_AN_OBJECT)
unknown_type = sends("a message of an unknown type", UNKNOWN_TYPE)
unknown_keys = sends("a message with an unknown key", '{"type": "state", "no_such_key": 1}')
binary = sends("a binary message", b"\x00\x01\x02")
depth = sends("JSON nested 100,000 deep", '{"type":"step","data":' + "[" * _DEPTH + "]" * _DEPTH + "}")
