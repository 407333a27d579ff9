"""What a socket brings, as messages and events: the plain frames read by `whole`, all others by wsproto.

Owns the joining of messages that come in pieces, and their largest size. `framed` acts on what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from wsproto.events import BytesMessage, Event, TextMessage

from openenv_async.transport.link import Message
from openenv_async.transport.whole import FrameReader, Unread


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
        framing: reads the frames that `whole` does not.
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
