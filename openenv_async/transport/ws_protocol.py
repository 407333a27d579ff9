"""An open WebSocket straight on an event-loop transport, at either end.

No task and no queue stands between the socket and whoever receives. `ws_frames` makes and
reads the plain frames and wsproto all others; this file moves their bytes. The handshake
is not here: `ws_client` does the client's, the HTTP server the other one (`ws_server`).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, cast

from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.transport.link import LinkClosed, Message
from openenv_async.transport.ws_frames import FrameReader, Unread, write_frame


class Framing(Protocol):
    """What wsproto's two kinds of connection have in common: events in, bytes out, and the other way round."""

    def send(self, event: Any) -> bytes:
        """Give an event's bytes."""

    def receive_data(self, data: bytes) -> None:
        """Take what came from the socket."""

    def events(self) -> Any:
        """Give what it means."""


class TooBig(NamedTuple):
    """In place of a message that is over the limit, once or more often."""

    most_bytes: int


class Incoming:
    """One connection's bytes, from the handshake on.

    Args:
        framing: reads the frames that `ws_frames` does not.
        masked: the peer is a client, which must mask.
        most_bytes: largest message; None: any.
    """

    def __init__(self, framing: Framing, *, masked: bool, most_bytes: int | None) -> None:
        self._ws, self._most_bytes = framing, most_bytes
        self._frames = FrameReader(masked=masked)
        self._parts: list[Any] = []
        self._size = 0

    def read(self, data: bytes) -> Iterator[Message | TooBig | Event]:
        """Take what was received, and give what it means.

        Raises:
            RemoteProtocolError: the bytes are no WebSocket.
            LocalProtocolError: they came after the close.
        """
        for piece in self._frames.feed(data):
            if isinstance(piece, Unread):
                yield from self.interpret(piece.data)
            else:
                yield self._checked(piece, len(piece))

    def interpret(self, data: bytes) -> Iterator[Message | TooBig | Event]:
        """Have wsproto read: the handshake, and frames that are not plain. Raises as `read`."""
        self._ws.receive_data(data)
        for event in self._ws.events():
            if type(event) is not BytesMessage and type(event) is not TextMessage:
                yield event
                continue
            if event.data or event.message_finished:
                self._parts.append(event.data)
            self._size += len(event.data)
            if event.message_finished or self._is_over(self._size):
                empty: Any = b"" if type(event) is BytesMessage else ""
                yield self._checked(empty.join(self._parts), self._size)
                self._parts.clear()
                self._size = 0

    def _checked(self, message: Message, size: int) -> Message | TooBig:
        return TooBig(self._most_bytes or 0) if self._is_over(size) else message

    def _is_over(self, size: int) -> bool:
        return self._most_bytes is not None and size > self._most_bytes


GRACE_S = 1.0
"""Seconds in which what has already arrived is read, before silence is believed."""

_ROUNDING_S = 1e-6
"""Intervals add up to a timeout, except for the last digit."""

MOST_PINGS_PER_S = 1000
"""A peer that sends more is cut off: each costs some 20 µs, in which others wait."""


class KeepAlive:
    """The pings of one connection. `start()` it, set `heard` with everything that is received, `stop()` it.

    Args:
        ping: sends one.
        give_up: called with the seconds of silence when nothing came back.
    """

    __slots__ = ("_give_up", "_interval_s", "_ping", "_silent_s", "_timeout_s", "_timer", "heard")

    def __init__(self, ping: Callable[[], None], give_up: Callable[[float], None]) -> None:
        self._ping, self._give_up = ping, give_up
        self._timer: asyncio.TimerHandle | None = None
        self._silent_s = 0.0
        self._interval_s = 0.0
        self._timeout_s = math.inf
        self.heard = True
        """Something was received since the last ping."""

    def start(self, interval_s: float, timeout_s: float) -> None:
        """Ping every `interval_s` seconds; give up when nothing at all was heard for `timeout_s` seconds after one."""
        # Whatever else is said: a ping held back because something was just heard would let a connection be
        # silent for almost twice the interval.
        self._interval_s, self._timeout_s = interval_s, timeout_s
        self._after(interval_s, self._due)

    def stop(self) -> None:
        """No more of it. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
        # They belong to whoever holds this: without them no cycle keeps a closed connection.
        self._ping, self._give_up, self._timer = _nothing, _nothing, None

    def _after(self, delay_s: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, what)

    def _due(self) -> None:
        self._silent_s = 0.0 if self.heard else self._silent_s + self._interval_s
        if self._silent_s >= self._timeout_s - _ROUNDING_S:
            # This process may have held its loop itself, and the answer waits in the socket: uvloop runs
            # timers that are overdue before it reads.
            self._after(min(GRACE_S, self._interval_s / 4), self._judge)
            return
        self._say()

    def _judge(self) -> None:
        if self.heard:
            self._silent_s = 0.0
            self._say()
        else:
            self._give_up(self._silent_s)

    def _say(self) -> None:
        self.heard = False
        self._after(self._interval_s, self._due)
        self._ping()


def _nothing(*_: float) -> None:
    """What a stopped one does."""


class PingRate:
    """How many pings a peer sends. One that floods is not worth answering."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def too_many(self, now: float) -> bool:
        """Count one more at `now`, in seconds; True when they are over `MOST_PINGS_PER_S`."""
        if now - self._since > 1:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > MOST_PINGS_PER_S


UNREAD_BYTES = 4 * 1024 * 1024
"""Received and not yet taken; above it the socket is not read, so that a slow receiver slows the sender."""

MOST_EVENTS = 64
"""Frames taken from one socket in one piece; after more of them other sockets have their turn first."""

CLOSE_WAIT_S = 1.0
"""Seconds that a peer may take to answer the close."""


class FramedLink(asyncio.Protocol):
    """See `Link`.

    Args:
        framing: makes and reads the frames that `ws_frames` does not.
        peer: the other end, in messages.
        masks: this is a client, and masks what it sends.
        most_bytes: largest message taken; a larger one ends the link with code 1009. None: any.
    """

    def __init__(self, framing: Framing, peer: str, most_bytes: int | None = None, *, masks: bool = False) -> None:
        self.subprotocol: str | None = None
        self._loop = asyncio.get_running_loop()
        self._ws, self._peer, self._masks = framing, peer, masks
        self._incoming = Incoming(framing, masked=not masks, most_bytes=most_bytes)
        self._transport: asyncio.Transport | None = None
        self._messages: deque[Message] = deque()
        self._unread = 0
        self._closed: LinkClosed | None = None
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._take: Callable[[Message], None] | None = None
        self._ended: Callable[[LinkClosed], None] | None = None
        self._held = False
        self._resting = False
        self._reading = True
        self._pings = PingRate()
        self._alive = KeepAlive(lambda: self._write(Ping()), self._silent)

    async def send(self, message: Message) -> None:
        """See `Link.send`. Waits while the socket has more than it can take."""
        while self._writable is not None:
            # Shielded: a cancelled call must not cancel what the next one waits for.
            await asyncio.shield(self._writable)
        if self._closed is not None:
            raise self._closed
        self.send_nowait(message)

    async def receive(self) -> Message:
        """See `Link.receive`. What arrived before the close is still given."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self._receiver = self._loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        message = self._messages.popleft()
        self._unread -= len(message)
        if not self._reading:
            self._read_or_not()
        return message

    @property
    def can_send(self) -> bool:
        """See `PushLink.can_send`."""
        return self._writable is None and self._closed is None

    def send_nowait(self, message: Message) -> None:
        """See `PushLink.send_nowait`."""
        frame = write_frame(message, masked=self._masks) if self._closed is None else None
        if frame is None:
            self._write(BytesMessage(message) if isinstance(message, bytes) else TextMessage(message))
        elif self._transport is not None:
            self._transport.write(frame)

    def push(self, take: Callable[[Message], None], ended: Callable[[LinkClosed], None]) -> None:
        """See `PushLink.push`."""
        self._take, self._ended = take, ended
        self._give()

    def hold(self, held: bool) -> None:
        """See `PushLink.hold`."""
        self._held = held
        if not held:
            self._give()
        self._read_or_not()

    def _give(self) -> None:
        """Push what has arrived, and after it the end."""
        while self._messages and not self._held and self._take is not None:
            message = self._messages.popleft()
            self._unread -= len(message)
            self._take(message)
        if self._closed is not None and not self._messages and self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self._closed)

    def _read_or_not(self) -> None:
        reading = self._unread < UNREAD_BYTES and not self._held and not self._resting
        if reading != self._reading and self._transport is not None and not self._gone.done():
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """See `Link.aclose`."""
        if self._transport is None:
            return
        if self._closed is None:
            # A close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
            short = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
            self._write(CloseConnection(code=code, reason=short or None))
            self._end(LinkClosed(reason or "closed by this side", code))
        try:
            if not self._gone.done():
                # The peer answers the close; one that does not is left.
                await asyncio.wait([self._gone], timeout=CLOSE_WAIT_S)
        finally:
            # Also when the loop ends first and cancels this: the socket must not outlive it.
            self._drop()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._end(LinkClosed("closed by this side"))
        self._drop()

    def _drop(self) -> None:
        # A transport that has lost its connection may raise when it is aborted once more.
        if self._transport is not None and not self._gone.done():
            self._transport.abort()

    def keep_alive(self, interval_s: float, silence_s: float) -> None:
        """Ping every `interval_s` seconds; end the link when nothing was heard for `silence_s` seconds after one.

        A peer that computes in its event loop, as a trainer may for minutes, answers no ping meanwhile.
        """
        self._alive.start(interval_s, silence_s)

    def _silent(self, seconds: float) -> None:
        text = f"nothing was heard from the {self._peer} for {seconds:g} s, pings unanswered"
        self._end(LinkClosed(text))
        self._drop()

    def _write(self, event: Event) -> None:
        try:
            data = self._ws.send(event)
        except LocalProtocolError as exc:
            self._end(LinkClosed(f"the connection is closing: {exc}"))
            return
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, reason: LinkClosed) -> None:
        if self._closed is None:
            self._closed = reason
        self._alive.stop()
        for waiter in (self._receiver, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._writable = None
        if self._ended is not None:
            # Not here and now: whoever is told may be the one who is sending.
            self._loop.call_soon(self._give)

    # What follows is `asyncio.Protocol`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._end(LinkClosed(f"the connection broke: {exc}" if exc else f"the {self._peer} closed the connection"))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """The socket has more than it can take."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        """Act on what the bytes mean."""
        self._alive.heard = True
        events = 0
        try:
            for item in self._read(data):
                events += 1
                if isinstance(item, (bytes, str)):
                    self._add(item)
                else:
                    self._handle(item)
        except (RemoteProtocolError, LocalProtocolError) as exc:
            self._broken(exc)
            return
        if self._take is not None:
            self._give()
        elif self._messages and self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        if events > MOST_EVENTS:
            # The loop would read on from the same socket while others wait.
            self._resting = True
            self._loop.call_soon(self._rested)
        if self._unread > UNREAD_BYTES or self._resting:
            self._read_or_not()

    def _read(self, data: bytes) -> Iterator[Message | TooBig | Event]:
        return self._incoming.read(data)

    def _rested(self) -> None:
        self._resting = False
        self._read_or_not()

    def _broken(self, exc: RemoteProtocolError | LocalProtocolError) -> None:
        """The peer's bytes are no WebSocket: say so, where it can still be said, and leave."""
        self._end(LinkClosed(f"the {self._peer} does not speak WebSocket: {exc}"))
        if self._transport is not None:
            hint = getattr(exc, "event_hint", None)
            if hint is not None:
                self._write(hint)
            self._transport.close()

    def _add(self, message: Message) -> None:
        if self._closed is None:
            self._messages.append(message)
            self._unread += len(message)

    def _end_oversized(self, message: TooBig) -> None:
        if self._closed is None:
            self._write(CloseConnection(code=1009, reason="message too big"))
            self._end(LinkClosed(f"the {self._peer} sent a message of over {message.most_bytes:,} bytes", 1009))

    def _pinged(self, ping: Ping) -> None:
        if self._closed is not None:
            return
        if self._pings.too_many(self._loop.time()):
            self._end(LinkClosed(f"the {self._peer} sent over {MOST_PINGS_PER_S} pings in a second", 1008))
            self._drop()
        elif self._writable is None:
            # Whoever pings and does not read gets no pongs: they would be kept for it without a bound.
            self._write(ping.response())

    def _handle(self, event: Event | TooBig) -> None:
        if isinstance(event, Ping):
            self._pinged(event)
        elif isinstance(event, TooBig):
            self._end_oversized(event)
        elif isinstance(event, CloseConnection):
            if self._closed is None:
                self._write(event.response())
            self._end(LinkClosed(event.reason or f"the {self._peer} closed the connection", int(event.code)))
            if self._transport is not None:
                self._transport.close()
        elif not isinstance(event, Pong):
            raise RemoteProtocolError(f"unexpected {type(event).__name__}")
