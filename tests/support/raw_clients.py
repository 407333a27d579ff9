"""Clients that send exactly what a test says, right or wrong, and give back exactly what the server said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from openenv_async.codec import encode_any_msgpack
from openenv_async.protocol.batching import CLIENT_SIDE
from openenv_async.protocol.frames import (
    SUBPROTOCOL,
    AnyFrame,
    Closed,
    Failure,
    GetState,
    Hello,
    Open,
    Opened,
    Reply,
    Reset,
    ServerFrame,
    Step,
    encode_batch,
)
from support.servers import bounded


class Said(NamedTuple):
    """One answer: an error with its `code`, or the observation or state in `body`, reward and done with it."""

    code: str
    message: str
    details: dict[str, Any]
    body: dict[str, Any]

    @property
    def total(self) -> int:
        assert not self.code, f"{self.code}: {self.message}"
        return int(self.body["total"])


class RawClient(Protocol):
    """One session over a socket, seen from its wire."""

    wire: str
    socket: ClientConnection

    async def reset(self, **arguments: Any) -> Said: ...

    async def step(self, **action: Any) -> Said: ...

    async def state(self) -> Said: ...

    async def step_bytes(self, payload: bytes) -> Said:
        """Step with an action of exactly these bytes."""

    async def begin(self, **action: Any) -> None:
        """Send a step and do not wait for its answer."""

    async def say(self, message: bytes | str) -> Said:
        """Send exactly one message, and give the one answer to it."""

    def encode(self, value: Any) -> bytes:
        """Encode a value as this wire's payloads are."""


class RawJson:
    wire = "json"

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def reset(self, **arguments: Any) -> Said:
        return await self.say(json.dumps({"type": "reset", "data": arguments}))

    async def step(self, **action: Any) -> Said:
        return await self.step_bytes(self.encode(action))

    async def state(self) -> Said:
        return await self.say('{"type":"state"}')

    async def step_bytes(self, payload: bytes) -> Said:
        return await self.say('{"type":"step","data":' + payload.decode() + "}")

    async def begin(self, **action: Any) -> None:
        await bounded(self.socket.send(json.dumps({"type": "step", "data": action})))

    async def say(self, message: bytes | str) -> Said:
        await bounded(self.socket.send(message))
        return await self.hear()

    async def hear(self) -> Said:
        text = await bounded(self.socket.recv())
        assert isinstance(text, str)
        reply = json.loads(text)
        data = reply["data"]
        if reply["type"] == "error":
            return Said(data.pop("code"), data.pop("message"), data, {})
        if reply["type"] in ("state", "mcp"):
            return Said("", "", {}, data)
        assert reply["type"] == "observation", reply
        body = data["observation"] | {"reward": data["reward"], "done": data["done"]}
        return Said("", "", {"warnings": reply.get("warnings", [])}, body)

    def encode(self, value: Any) -> bytes:
        return json.dumps(value).encode()


class RawNative:
    """Session 1 of its connection, unless told otherwise."""

    wire = "native"

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._frames: list[ServerFrame] = []
        self._rids: dict[int, int] = {}

    async def open(self, sid: int = 1) -> None:
        await self.send(Open(sid))
        opened = await self.hear()
        assert isinstance(opened, Opened), opened

    async def reset(self, sid: int = 1, **arguments: Any) -> Said:
        return await self.ask(Reset(sid, self.next_rid(sid), msgspec.Raw(self.encode(arguments))))

    async def step(self, sid: int = 1, **action: Any) -> Said:
        return await self.step_bytes(self.encode(action), sid)

    async def state(self, sid: int = 1) -> Said:
        return await self.ask(GetState(sid, self.next_rid(sid)))

    async def step_bytes(self, payload: bytes, sid: int = 1) -> Said:
        return await self.ask(Step(sid, self.next_rid(sid), msgspec.Raw(payload)))

    async def begin(self, sid: int = 1, **action: Any) -> None:
        await self.send(Step(sid, self.next_rid(sid), msgspec.Raw(self.encode(action))))

    async def say(self, message: bytes | str) -> Said:
        await bounded(self.socket.send(message))
        return self.read(await self.hear())

    def encode(self, value: Any) -> bytes:
        return encode_any_msgpack(value)

    async def send(self, *frames: AnyFrame) -> None:
        await bounded(self.socket.send(encode_batch(list(frames))))

    async def ask(self, frame: AnyFrame) -> Said:
        await self.send(frame)
        return self.read(await self.hear())

    async def hear(self) -> ServerFrame:
        while not self._frames:
            message = await bounded(self.socket.recv())
            assert isinstance(message, bytes)
            self._frames += CLIENT_SIDE.decode(message)
        return self._frames.pop(0)

    def next_rid(self, sid: int = 1) -> int:
        self._rids[sid] = self._rids.get(sid, 0) + 1
        return self._rids[sid]

    @staticmethod
    def read(frame: ServerFrame) -> Said:
        if isinstance(frame, Failure):
            return Said(frame.code, frame.message, frame.details, {})
        if isinstance(frame, Closed):
            return Said(frame.code or "closed", frame.message, {}, {})
        assert isinstance(frame, Reply), frame
        return Said("", "", {"warnings": frame.warnings}, msgspec.msgpack.decode(frame.data))


@contextlib.asynccontextmanager
async def raw_socket(url: str, *, native: bool, **options: Any) -> AsyncIterator[ClientConnection]:
    """A WebSocket to a server's `/ws`, with or without the native subprotocol."""
    subprotocols = [Subprotocol(SUBPROTOCOL)] if native else None
    address = url.replace("http:", "ws:") + "/ws"
    async with connect(
        address,
        subprotocols=subprotocols,
        max_size=None,
        proxy=None,
        compression=None,
        **options,
    ) as socket:
        yield socket


@contextlib.asynccontextmanager
async def raw_json(url: str, **options: Any) -> AsyncIterator[RawJson]:
    async with raw_socket(url, native=False, **options) as socket:
        yield RawJson(socket)


@contextlib.asynccontextmanager
async def raw_native(url: str, **options: Any) -> AsyncIterator[RawNative]:
    """A connection whose session 1 is open."""
    async with raw_socket(url, native=True, **options) as socket:
        client = RawNative(socket)
        hello = await client.hear()
        assert isinstance(hello, Hello)
        await client.open()
        yield client


def raw_client(wire: str, url: str) -> contextlib.AbstractAsyncContextManager[RawClient]:
    """One session over the wire named."""
    return raw_json(url) if wire == "json" else raw_native(url)
