"""An open WebSocket on an event-loop transport (TCP, TLS or a Unix socket), at either end.

No task and no queue stands between the socket and the receiver. `ws_frames` turns bytes into messages; this file
moves the bytes, and owns backpressure, pings and the close. The client's handshake is in `ws_client`, the
server's is the HTTP server's (`ws_server`).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import cast

from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.transport.link import LinkClosed, Message
from openenv_async.transport.ws_frames import MessageReader, Received, TooBig, write_frame

GRACE_S = 1.0
"""Seconds in which what has already arrived is read, before the peer is taken to be silent."""

_ROUNDING_S = 1e-6
"""Intervals add up to a timeout, except for a rounding error."""

MOST_PINGS_PER_S = 1000
"""A peer that sends more is disconnected: each costs some 20 µs, in which other connections wait."""


class KeepAlive:
    """The pings of one connection. Call `start()`, set `heard` whenever something is received, call `stop()`.

    Args:
        ping: sends one.
        give_up: called with the seconds of silence when nothing was received.
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
        """Ping every `interval_s` seconds; give up when nothing was received for `timeout_s` seconds after one."""
        # Also on a busy connection: a ping held back because something was just received would let a connection be
        # silent for almost twice the interval.
        self._interval_s, self._timeout_s = interval_s, timeout_s
        self._after(interval_s, self._due)

    def stop(self) -> None:
        """Send no more pings. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
        # They refer to the connection, which refers to this: no cycle may keep a closed connection.
        self._ping, self._give_up, self._timer = _nothing, _nothing, None

    def _after(self, delay_s: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, what)

    def _due(self) -> None:
        self._silent_s = 0.0 if self.heard else self._silent_s + self._interval_s
        if self._silent_s >= self._timeout_s - _ROUNDING_S:
            # This process may have blocked its own loop while the answer waits in the socket: uvloop runs
            # overdue timers before it reads.
            self._after(min(GRACE_S, self._interval_s / 4), self._decide)
            return
        self._send_ping()

    def _decide(self) -> None:
        if self.heard:
            self._silent_s = 0.0
            self._send_ping()
        else:
            self._give_up(self._silent_s)

    def _send_ping(self) -> None:
        self.heard = False
        self._after(self._interval_s, self._due)
        self._ping()


def _nothing(*_: float) -> None:
    """Stands for the callbacks once pings have stopped."""


class PingRate:
    """Counts the pings that a peer sends, so that a flood of them is not answered."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def too_many(self, now: float) -> bool:
        """Count one ping at `now`, in seconds; return whether they are over `MOST_PINGS_PER_S`."""
        if now - self._since > 1:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > MOST_PINGS_PER_S


UNREAD_BYTES = 4 * 1024 * 1024
"""Received and not yet taken; above it the socket is not read, so that a slow receiver slows the sender."""

MOST_EVENTS = 64
"""Frames taken from one socket at once; after more of them other sockets have their turn first."""

CLOSE_WAIT_S = 1.0
"""Seconds that a peer may take to answer the close."""


class WebSocketLink(asyncio.Protocol):
    """A `Link` that has a socket to itself. It can also push messages and send without waiting, in one turn.

    Args:
        wsproto: the connection as the handshake left it; makes and reads the frames that `ws_frames` does not.
        peer: the other end, in error texts.
        most_bytes: largest message taken; a larger one ends the link with code 1009. None: any.
        masks: this is a client, and masks what it sends.
        replaces: the transport's protocol before this one, which goes on hearing of the socket's end and pauses.
    """

    def __init__(
        self,
        wsproto: Connection,
        peer: str,
        most_bytes: int | None = None,
        *,
        masks: bool = False,
        replaces: asyncio.BaseProtocol | None = None,
    ) -> None:
        self.subprotocol: str | None = None
        self.can_send = False
        """The socket takes more at once, and neither end has closed."""
        self._loop = asyncio.get_running_loop()
        self._wsproto, self._peer, self._masks, self._replaces = wsproto, peer, masks, replaces
        self.reader = MessageReader(wsproto, masked=not masks, most_bytes=most_bytes)
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done when the socket is closed."""
        self._transport: asyncio.Transport | None = None
        self._messages: deque[Message] = deque()
        """Received and not yet taken."""
        self._unread = 0
        self._closed: LinkClosed | None = None
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
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
        """See `Link.receive`. What arrived before the close is still returned."""
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

    def send_nowait(self, message: Message) -> None:
        """Send one message; call it where `can_send` is True."""
        frame = write_frame(message, masked=self._masks) if self._closed is None else None
        if frame is None:
            self._write(BytesMessage(message) if isinstance(message, bytes) else TextMessage(message))
        elif self._transport is not None:
            self._transport.write(frame)

    def push(self, take: Callable[[Message], None], ended: Callable[[LinkClosed], None]) -> None:
        """Call `take` with every message from now on, and `ended` once after the last; `receive` returns no more.

        Neither may raise.
        """
        self._take, self._ended = take, ended
        self._give()

    def hold(self, held: bool) -> None:
        """Push nothing and read nothing from the peer until `hold(False)`."""
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
        if reading != self._reading and self._transport is not None and not self.gone.done():
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
            if not self.gone.done():
                # The peer answers the close; one that does not is disconnected.
                await asyncio.wait([self.gone], timeout=CLOSE_WAIT_S)
        finally:
            # Also when the loop ends first and cancels this: the socket must not outlive it.
            self._drop()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._end(LinkClosed("closed by this side"))
        self._drop()

    def _drop(self) -> None:
        # A transport that has lost its connection may raise when it is aborted once more.
        if self._transport is not None and not self.gone.done():
            self._transport.abort()

    def keep_alive(self, interval_s: float, silence_s: float) -> None:
        """Ping every `interval_s` seconds; end the link when nothing was received for `silence_s` seconds after one.

        A peer that computes in its event loop, as a trainer may for minutes, answers no ping meanwhile.
        """
        self._alive.start(interval_s, silence_s)

    def _silent(self, seconds: float) -> None:
        text = f"nothing was heard from the {self._peer} for {seconds:g} s, pings unanswered"
        self._end(LinkClosed(text))
        self._drop()

    def _write(self, event: Event) -> None:
        try:
            data = self._wsproto.send(event)
        except LocalProtocolError as exc:
            self._end(LinkClosed(f"the connection is closing: {exc}"))
            return
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, reason: LinkClosed) -> None:
        if self._closed is None:
            self._closed = reason
        self.can_send = False
        self._alive.stop()
        for waiter in (self._receiver, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._writable = None
        if self._ended is not None:
            # In a later turn: the callback may belong to the caller that is sending now.
            self._loop.call_soon(self._give)

    # What follows is `asyncio.Protocol`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.can_send = self._closed is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LinkClosed(f"the connection broke: {exc}" if exc else f"the {self._peer} closed the connection"))
        if not self.gone.done():
            self.gone.set_result(None)
        if self._replaces is not None:
            self._replaces.connection_lost(exc)

    def pause_writing(self) -> None:
        self._writable, self.can_send = self._loop.create_future(), False
        if self._replaces is not None:
            self._replaces.pause_writing()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable, self.can_send = None, self._closed is None
        if self._replaces is not None:
            self._replaces.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._alive.heard = True
        received = self.reader.read(data)
        for item in received:
            if not isinstance(item, (bytes, str)):
                self._handle(item)
            elif self._closed is None:
                if self._take is None or self._held or self._messages:
                    self._messages.append(item)
                    self._unread += len(item)
                else:
                    self._take(item)
        if self._receiver is not None and self._messages and not self._receiver.done():
            self._receiver.set_result(None)
        if len(received) > MOST_EVENTS:
            # The loop would read on from the same socket while others wait.
            self._resting = True
            self._loop.call_soon(self._rested)
        if self._unread > UNREAD_BYTES or self._resting:
            self._read_or_not()

    def _rested(self) -> None:
        self._resting = False
        self._read_or_not()

    def _handle(self, item: Received) -> None:
        """Act on everything but a message."""
        if isinstance(item, Ping):
            self._pinged(item)
        elif isinstance(item, TooBig):
            if self._closed is None:
                self._write(CloseConnection(code=1009, reason="message too big"))
                self._end(LinkClosed(f"the {self._peer} sent a message of over {item.most_bytes:,} bytes", 1009))
        elif isinstance(item, CloseConnection):
            if self._closed is None:
                self._write(item.response())
            self._end(LinkClosed(item.reason or f"the {self._peer} closed the connection", int(item.code)))
            if self._transport is not None:
                self._transport.close()
        elif not isinstance(item, Pong):
            self._broken(item)

    def _pinged(self, ping: Ping) -> None:
        if self._closed is not None:
            return
        if self._pings.too_many(self._loop.time()):
            self._end(LinkClosed(f"the {self._peer} sent over {MOST_PINGS_PER_S} pings in a second", 1008))
            self._drop()
        elif self._writable is None and self._wsproto.state is ConnectionState.OPEN:
            # A peer that pings and does not read gets no pongs: they would be kept for it without a bound. Nor does one
            # whose close is among what has just been read.
            self._write(ping.response())

    def _broken(self, item: Received) -> None:
        """The peer's bytes are not a WebSocket: tell it, where that is still possible, and leave."""
        what = item if isinstance(item, Exception) else f"unexpected {type(item).__name__}"
        self._end(LinkClosed(f"the {self._peer} does not speak WebSocket: {what}"))
        if isinstance(item, RemoteProtocolError) and item.event_hint is not None:
            self._write(item.event_hint)
        if self._transport is not None:
            self._transport.close()
