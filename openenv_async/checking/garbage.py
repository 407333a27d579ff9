"""Messages that nobody should send: each gets an error, and the session it came in goes on."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import msgspec

from openenv_async.checking.calm import answers
from openenv_async.checking.sockets import TEXT, RawSocket, error_in, frame, open_socket, request
from openenv_async.checking.verdicts import Broke, NotJudged
from openenv_async.checking.world import World
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

Check = Callable[[World], Awaitable[str]]

_EXPECTED = "an error that says what is wrong, and the session lives"
_CLOSED = "a connection that is closed, as WebSocket asks, or an error"
_DEPTH = 100_000
_LARGE = 17 * 1024 * 1024
"""Larger than the 16 MiB that WebSocket servers take unless told otherwise."""

_NOISE_BYTES = 200
_UNKNOWN_TAG = msgspec.msgpack.encode([[99, 1, 1]])
_INVALID_DATA = 1007
"""What RFC 6455 has a peer close with when text is no UTF-8."""


def sends(what: str, message: Message) -> Check:
    """Make a check that sends one message in the middle of an episode on the JSON wire."""

    async def check(world: World) -> str:
        async with world.socket() as raw:
            return await _survives(world, raw, what, message)

    return check


async def _survives(world: World, raw: RawSocket, what: str, message: Message) -> str:
    try:
        said = await raw.ask(message)
    except LinkClosed as error:
        raise Broke(_EXPECTED, f"{what} ended the session: {error.reason} (close code {error.code})") from None
    if said.get("type") != "error":
        raise Broke(_EXPECTED, f"{what} was answered with {said.get('type')!r}, as if nothing were wrong")
    answer = error_in(said)
    try:
        after = await raw.ask(request("step", world.actions[0]))
    except LinkClosed as error:
        raise Broke(_EXPECTED, f"{what} was answered with an error, and the session ended: {error.reason}") from None
    if after.get("type") != "observation":
        raise Broke(_EXPECTED, f"after {what}, a step was answered with {after.get('type')!r}: {after.get('data')}")
    return f"refused ({_code(said)}: {' '.join(str(answer).split())[:90]}), and the session lives"


def _code(said: dict[str, object]) -> object:
    data = said.get("data")
    return data.get("code") if isinstance(data, dict) else None


async def size(world: World) -> str:
    """Send an action that is too large, by what the server says or by what WebSocket servers usually take."""
    told = None if world.hello is None else world.hello.limits.get("max_message_bytes")
    large = min(_LARGE, told + 1) if isinstance(told, int) else _LARGE
    # The field is none of the action's: a server that takes the message still has to refuse the action.
    text = '{"type":"step","data":{"no_such_field_of_an_action":"' + "x" * large + '"}}'
    what = f"an action of {large / 2**20:.0f} MiB" if large >= 2**20 else f"an action of {large:,} bytes"
    async with world.socket() as raw:
        try:
            said = await raw.ask(text)
        except LinkClosed as error:
            raise Broke(_EXPECTED, f"{what} ended the session: {error.reason} (close code {error.code})") from None
        if said.get("type") != "error":
            raise NotJudged(f"{what}, with a field that is none of the action's, was played")
        after = await raw.ask(request("step", world.actions[0]))
    if after.get("type") != "observation":
        raise Broke(_EXPECTED, f"after {what}, a step was answered with {after.get('type')!r}")
    return f"{what} is refused ({_code(said)}), and the session lives"


async def utf8(world: World) -> str:
    """Send text that is no UTF-8: the one message after which a WebSocket must be closed, and with a code for it."""
    async with world.socket() as raw:
        raw.write(frame(TEXT, b'{"type":"step","data":{"x":"\xff\xfe"}}'))
        try:
            said = raw.read(await raw.receive())
        except LinkClosed as error:
            if error.code == _INVALID_DATA:
                return "the connection is closed with 1007, as WebSocket asks"
            if reason := await answers(world):
                raise Broke(_CLOSED, f"the server does not answer any longer: {reason}") from None
            return f"the connection is closed, as WebSocket asks, though with {error.code} and not 1007"
    if said.get("type") != "error":
        raise Broke(_CLOSED, f"it was answered: {said.get('type')!r}")
    return f"refused ({_code(said)})"


async def native(world: World) -> str:
    """Send what is wrong on the native wire, then play a session on that very connection."""
    if world.hello is None:
        raise NotJudged("the server does not speak the native wire")
    raw = await open_socket(world.subject, SUBPROTOCOL)
    try:
        await _native(raw)
    except LinkClosed as error:
        raise Broke(_EXPECTED, f"the connection ended: {error.reason} (close code {error.code})") from None
    finally:
        raw.cut("FIN")
    return "text, noise, an unknown frame and deep nesting each got a failure, and a session played on after them"


async def _native(raw: RawSocket) -> None:
    frames = await _frames(raw)
    if not isinstance(frames[0], Hello):
        raise Broke("a hello as the first frame", f"the first frame was a {type(frames[0]).__name__}")
    noise = b"\xc1" + random.Random(7).randbytes(_NOISE_BYTES)  # no message begins with this byte
    deep = b"\x91" * _DEPTH + b"\xc0"
    for what, message in (("text", "hello?"), ("noise", noise), ("an unknown frame", _UNKNOWN_TAG), ("nesting", deep)):
        await raw.send(message)
        got = (await _frames(raw))[0]
        if not isinstance(got, Failure):
            raise Broke(_EXPECTED, f"{what} was answered with a {type(got).__name__}")
    names: list[str] = []
    play: list[AnyFrame] = [Open(1), Reset(1, 1, msgspec.Raw(b"\x80")), GetState(1, 2)]
    close: list[AnyFrame] = [Close(1)]
    for batch, wanted in ((play, 3), (close, 4)):
        await raw.send(encode_batch(batch))
        while len(names) < wanted:
            names += [type(each).__name__ for each in await _frames(raw)]
            if names[0] == "Failure":
                raise NotJudged("there is no place for a session after it")
    if names[0] != "Opened" or names[-1] != "Closed":
        raise Broke("a session that opens, plays and closes after it", f"the server said {', '.join(names)}")


async def _frames(raw: RawSocket) -> list[object]:
    message = await raw.receive()
    if not isinstance(message, bytes):
        raise Broke("binary messages", "the server sent text on the native wire")
    try:
        frames: list[object] = list(CLIENT_SIDE.decode(message))
    except msgspec.DecodeError as error:
        raise EnvError(f"the server's message cannot be read: {error}") from None
    if not frames:
        raise EnvError("the server sent a message without a frame")
    return frames


text = sends("what is no JSON", "{this is no json")
no_object = sends("JSON that is no object", "[1, 2]")
unknown_type = sends("a message of an unknown type", '{"type": "no_such_type"}')
keys = sends("a message with an unknown key", '{"type": "state", "no_such_key": 1}')
binary = sends("a binary message", b"\x00\x01\x02")
depth = sends("JSON nested 100,000 deep", '{"type":"step","data":' + "[" * _DEPTH + "]" * _DEPTH + "}")
