"""Sans-IO reader and writer of WebSocket messages; wsproto handles every frame that is not plain.

A plain frame is a whole text or binary message below 64 KiB; almost all are. wsproto takes some 10 µs for each
way of a frame, which is most of what a small message costs. Fragments, pings, closes, large frames and malformed
bytes go to wsproto in order, byte for byte, so it alone decides what is valid. Layout: RFC 6455, section 5.2.
"""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple

from wsproto.connection import Connection
from wsproto.events import BytesMessage, Event, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from openenv_async.transport.link import Message

_TEXT, _BINARY = 0x81, 0x82
"""First bytes of a frame that ends its message, without extensions."""

_LAST, _OPCODE, _MASKED, _LENGTH = 0x80, 0x0F, 0x80, 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_FIRST_CONTROL = 8

_MOST_MASKED = 4096
"""Bytes up to which masking by long integers is the faster way; above, by wsproto's tables."""


class TooBig(NamedTuple):
    """Stands for a message that is over the limit; for one in fragments, perhaps more than once."""

    most_bytes: int


Received = Message | TooBig | Event | LocalProtocolError | RemoteProtocolError
"""What bytes mean: a message, an event of wsproto's, or, as the last, why they are not a WebSocket's."""


def write_frame(message: Message, *, masked: bool) -> bytes | None:
    """Return the frame of a message, or None where wsproto should make it.

    Args:
        message: what to send.
        masked: as clients must.
    """
    first, payload = (_BINARY, message) if isinstance(message, bytes) else (_TEXT, message.encode())
    size = len(payload)
    mask_bit = _MASKED if masked else 0
    if masked and size > _MOST_MASKED:
        return None
    if size < _TWO_BYTES:
        head = bytes((first, mask_bit | size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, mask_bit | _TWO_BYTES, size)
    else:
        head = struct.pack(">BBQ", first, mask_bit | _EIGHT_BYTES, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    masked_payload = int.from_bytes(payload, "little") ^ int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return b"".join((head, key, masked_payload.to_bytes(size, "little")))


class MessageReader:
    """Turns the bytes of one connection, from the handshake on, into messages and events.

    Args:
        wsproto: the connection as the handshake left it; reads the frames that are not plain.
        masked: the peer is a client, which must mask.
        most_bytes: largest message; None: any.
    """

    def __init__(self, wsproto: Connection, *, masked: bool, most_bytes: int | None = None) -> None:
        self._wsproto = wsproto
        self._mask_bit = _MASKED if masked else 0
        self.most_bytes = most_bytes
        self._owed = 0
        """Bytes of a frame that wsproto has begun to read."""
        self._begun = b""
        """As much of a frame's head as has come; wsproto has it too."""
        self._in_fragments = False
        """A message of several frames has begun: what comes next belongs to it, or is wsproto's to refuse."""
        self._fragments: list[Any] = []
        self._fragments_size = 0

    def read(self, data: bytes) -> list[Received]:
        """Return what the bytes mean; a message is there once, when all of it has arrived."""
        found: list[Received] = []
        at, passed = 0, len(self._begun)
        if self._owed:
            at = min(self._owed, len(data))
            self._owed -= at
            self._leave_to_wsproto(data[:at], found)
        elif passed:
            data, self._begun = self._begun + data, b""
        size = len(data)
        while at < size:
            end, message = self._next(data, at, size)
            if not end:
                self._begun = data[at:]
                self._leave_to_wsproto(data[at + passed :], found)
                break
            if message is None or passed:
                if data[at] & _OPCODE < _FIRST_CONTROL:
                    self._in_fragments = not data[at] & _LAST
                self._owed = max(0, end - size)
                self._leave_to_wsproto(data[at + passed : end], found)
            elif self.most_bytes is not None and len(message) > self.most_bytes:
                found.append(TooBig(self.most_bytes))
            else:
                found.append(message)
            at, passed = end, 0
        return found

    def _next(self, data: bytes, at: int, size: int) -> tuple[int, Message | None]:
        """Return where the frame at `at` ends (0: its head is not all there), and its message where it is plain."""
        if size - at < 2:
            return 0, None
        first, second = data[at], data[at + 1]
        code = length = second & _LENGTH
        begin = at + (6 if second & _MASKED else 2)
        if code == _TWO_BYTES:
            begin += 2
            length = int.from_bytes(data[at + 2 : at + 4], "big")
        elif code == _EIGHT_BYTES:
            begin += 8
            length = int.from_bytes(data[at + 2 : at + 10], "big")
        if begin > size:
            return 0, None
        end = begin + length
        is_plain = (
            (first == _BINARY or first == _TEXT)
            and second & _MASKED == self._mask_bit
            and not self._in_fragments
            and end <= size
            and code != _EIGHT_BYTES
            and (code != _TWO_BYTES or length >= _TWO_BYTES)
            and not (self._mask_bit and length > _MOST_MASKED)
        )
        if not is_plain:
            return end, None
        payload = data[begin:end]
        if self._mask_bit:
            key = (data[begin - 4 : begin] * (length // 4 + 1))[:length]
            payload = (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")
        if first == _BINARY:
            return end, payload
        try:
            return end, payload.decode()
        except UnicodeDecodeError:
            return end, None

    def _leave_to_wsproto(self, data: bytes, found: list[Received]) -> None:
        try:
            self._wsproto.receive_data(data)
            for event in self._wsproto.events():
                if isinstance(event, (BytesMessage, TextMessage)):
                    self._join(event, found)
                else:
                    found.append(event)
        except (RemoteProtocolError, LocalProtocolError) as exc:
            found.append(exc)

    def _join(self, event: BytesMessage | TextMessage, found: list[Received]) -> None:
        if event.data or event.message_finished:
            self._fragments.append(event.data)
        self._fragments_size += len(event.data)
        too_big = self.most_bytes is not None and self._fragments_size > self.most_bytes
        if event.message_finished or too_big:
            empty: Any = b"" if isinstance(event, BytesMessage) else ""
            found.append(TooBig(self.most_bytes or 0) if too_big else empty.join(self._fragments))
            self._fragments.clear()
            self._fragments_size = 0
