"""A WebSocket client that can misbehave: it sends any bytes, cuts its socket in two ways, or stops reading.

wsproto reads what the server sends; frames that no library would write are written
here. Connects directly, also where a proxy is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from typing import Any, Literal
from urllib.parse import urlsplit

import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, RejectConnection, TextMessage
from wsproto.events import Request as Handshake
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.conformance.target import SEED, ServerTarget
from openenv_async.errors import EnvError, from_wire
from openenv_async.transport.link import LinkClosed, LinkRefused, Message

Cut = Literal["FIN", "RST"]

CUTS: tuple[Cut, ...] = ("FIN", "RST")

TEXT, BINARY, RESERVED = 1, 2, 3
"""Opcodes of frames; 3 is reserved."""

_READ_BYTES = 65536
_CLOSE_WAIT_S = 5.0


def frame(opcode: int, payload: bytes, *, announced: int | None = None) -> bytes:
    """Return a client's frame, also one that is wrong.

    Args:
        opcode: its type.
        payload: its bytes; the mask is zeros, so that they are sent as they are.
        announced: the length that its header states, where that is to be a lie.
    """
    size = len(payload) if announced is None else announced
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class PatientReader(asyncio.StreamReader):
    """A reader that returns what had arrived before its connection broke: a server's last message may be in it."""

    broken: BaseException | None = None

    def set_exception(self, exc: BaseException) -> None:
        """Treat a broken connection as the end of the stream."""
        self.broken = exc
        self.feed_eof()


class Endpoint:
    """Where a server's `/ws` is, for plain sockets."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or "localhost"
        self.port = parts.port or (443 if self.tls else 80)
        self.prefix = parts.path.rstrip("/")
        default = 443 if self.tls else 80
        self.name = self.host if self.port == default else f"{self.host}:{self.port}"

    async def connect(self) -> tuple[PatientReader, asyncio.StreamWriter]:
        """Open a socket, with TLS where the server has it.

        Raises:
            OSError: there is no answer.
        """
        context = ssl.create_default_context() if self.tls else None
        loop = asyncio.get_running_loop()
        reader = PatientReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, self.host, self.port, ssl=context)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def cut(writer: asyncio.StreamWriter, how: Cut) -> None:
    """Drop a socket: by FIN, so that the peer reads its end, or by RST, as a machine that vanished answers."""
    if how == "RST":
        sock = writer.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


class RawSocket:
    """One WebSocket of OpenEnv's JSON wire, or of the native one. Make it with `open_socket()`."""

    def __init__(self, reader: PatientReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self.subprotocol: str | None = None
        self.timeout_s = timeout_s
        self.writer = writer
        self._reader = reader
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._parts: list[Any] = []
        self._pongs = b""

    async def shake_hands(self, request: Handshake) -> None:
        """Make the handshake.

        Raises:
            LinkRefused: the answer was not a WebSocket.
        """
        self.writer.write(self._ws.send(request))
        while True:
            event = await self._next()
            if isinstance(event, AcceptConnection):
                self.subprotocol = event.subprotocol
                return
            if isinstance(event, RejectConnection):
                raise LinkRefused(f"the server answered HTTP {event.status_code}", event.status_code)

    def write(self, data: bytes) -> None:
        """Send bytes as they are, without waiting."""
        self.writer.write(data)

    async def send(self, message: Message) -> None:
        """Send a whole message."""
        binary = isinstance(message, bytes)
        payload = message if isinstance(message, bytes) else message.encode("utf-8", "surrogatepass")
        # A server that has refused and closed answers a write with a reset, and a further write would lose what it
        # sent before: pongs are sent with the next message.
        pongs, self._pongs = self._pongs, b""
        self.writer.write(pongs + frame(BINARY if binary else TEXT, payload))
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.writer.drain()
        except (OSError, TimeoutError):
            # What the server sent before it closed, if anything, is still there to be received.
            pass

    async def receive(self) -> Message:
        """Return the next whole message.

        Raises:
            LinkClosed: the connection ended.
            EnvError: none came in time.
        """
        while True:
            event = await self._next()
            if isinstance(event, (TextMessage, BytesMessage)):
                self._parts.append(event.data)
                if event.message_finished:
                    empty: Any = "" if isinstance(event, TextMessage) else b""
                    message: Message = empty.join(self._parts)
                    self._parts.clear()
                    return message
            elif isinstance(event, Ping):
                with contextlib.suppress(LocalProtocolError):  # the server's close came with it
                    self._pongs += self._ws.send(event.response())
            elif isinstance(event, CloseConnection):
                with contextlib.suppress(LocalProtocolError, OSError):
                    self.writer.write(self._ws.send(event.response()))
                raise LinkClosed(event.reason or "the server closed the connection", int(event.code))

    async def _next(self) -> Event:
        while not self._events:
            try:
                async with asyncio.timeout(self.timeout_s):
                    data = await self._reader.read(_READ_BYTES)
            except TimeoutError:
                raise EnvError(f"no answer within {self.timeout_s:g} s") from None
            if not data:
                broken = self._reader.broken
                how = (
                    "dropped the connection without a close frame"
                    if broken is None
                    else f"cut the connection ({broken})"
                )
                raise LinkClosed(f"the server {how}")
            try:
                self._ws.receive_data(data)
                self._events += self._ws.events()
            except (RemoteProtocolError, LocalProtocolError) as error:
                raise LinkClosed(f"the server does not speak WebSocket: {error}") from None
        return self._events.pop(0)

    async def ask(self, message: Message) -> dict[str, Any]:
        """Send one message and return the one answer to it, errors included.

        Raises:
            LinkClosed: the connection ended instead.
            EnvError: no answer in time, or one that is not a JSON object.
        """
        await self.send(message)
        return read_object(await self.receive())

    async def call(self, kind: str, data: Any = None) -> dict[str, Any]:
        """Send a request of the JSON wire and return the whole answer.

        Raises:
            EnvError: the server's error, as its class.
            LinkClosed: the connection ended instead.
        """
        said = await self.ask(request(kind, data))
        if said.get("type") == "error":
            raise error_in(said)
        return said

    async def close(self) -> int:
        """End the session as an honest client does, and return the code with which the server closed."""
        await self.send('{"type":"close"}')
        return await self.until_closed()

    async def until_closed(self) -> int:
        """Read until the server closes; return the code, 1006 where it dropped the connection, 0 where it did not."""
        try:
            async with asyncio.timeout(_CLOSE_WAIT_S):
                while True:
                    await self.receive()
        except LinkClosed as error:
            return error.code
        except (TimeoutError, EnvError):
            return 0
        finally:
            self.cut("FIN")

    def cut(self, how: Cut = "FIN") -> None:
        """Drop the socket. Safe to repeat."""
        if not self.writer.transport.is_closing():
            cut(self.writer, how)


def request(kind: str, data: Any = None) -> str:
    """Return a request of the JSON wire."""
    return json.dumps({"type": kind} if data is None else {"type": kind, "data": data})


def read_object(message: Message) -> dict[str, Any]:
    """Return a message of the JSON wire.

    Raises:
        EnvError: it is not a JSON object.
    """
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise EnvError("the server's answer is not JSON") from None
    if not isinstance(said, dict):
        raise EnvError("the server's answer is not a JSON object")
    return said


def error_in(said: dict[str, Any]) -> EnvError:
    """Return the error that an error frame names."""
    data = said.get("data")
    fields = dict(data) if isinstance(data, dict) else {}
    code, message = str(fields.pop("code", "UNKNOWN")), str(fields.pop("message", "no message"))
    return from_wire(code, message, {key: value for key, value in fields.items() if isinstance(key, str)})


async def open_socket(target: ServerTarget, *subprotocols: str, timeout_s: float | None = None) -> RawSocket:
    """Open a WebSocket to a server.

    Args:
        target: the server.
        subprotocols: offered in the handshake; none: OpenEnv's JSON.
        timeout_s: seconds that each answer may take; by default the target's.

    Raises:
        LinkRefused: it was refused.
        OSError: there is no answer.
    """
    limit_s = timeout_s or target.call_timeout_s
    endpoint = Endpoint(target.url)
    raw: RawSocket | None = None
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await endpoint.connect()
            raw = RawSocket(reader, writer, limit_s)
            headers = [(b"authorization", f"Bearer {target.token}".encode())] if target.token else []
            await raw.shake_hands(
                Handshake(
                    host=endpoint.name,
                    target=f"{endpoint.prefix}/ws",
                    subprotocols=list(subprotocols),
                    extra_headers=headers,
                )
            )
    except BaseException as error:
        if raw is not None:
            raw.cut("RST")
        if isinstance(error, TimeoutError):
            raise LinkRefused(f"no WebSocket within {limit_s:g} s") from None
        raise
    return raw


async def open_session(target: ServerTarget) -> RawSocket:
    """Open a socket of the JSON wire and begin an episode on it.

    Raises:
        CapacityError: the server is full, and says so.
        EnvError, LinkRefused, LinkClosed, OSError: it could not be done.
    """
    raw = await open_socket(target)
    try:
        await raw.call("reset", {"seed": SEED})
    except BaseException:
        raw.cut("FIN")
        raise
    return raw
