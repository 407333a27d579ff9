"""WebSocket frames that are a whole message in themselves, as almost all are, written and read in a few lines.

Sans-IO. wsproto takes some 10 µs for each way of a frame, which is most of what a small message costs. What is
not plain (pieces of a message, pings, closes, large frames, everything malformed) is left to it, in order and
byte for byte, so it stays the one judge of what a WebSocket may say. Layout: RFC 6455, section 5.2.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from openenv_async.transport.link import Message

_TEXT, _BINARY = 0x81, 0x82
"""First bytes of a frame that ends its message, without extensions."""

_LAST, _OPCODE, _MASKED, _LENGTH = 0x80, 0x0F, 0x80, 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_FIRST_CONTROL = 8

_MOST_MASKED = 4096
"""Bytes up to which masking by long integers is the faster way; above, by wsproto's tables."""


class Unread(NamedTuple):
    """Bytes for wsproto to read."""

    data: bytes


def write_frame(message: Message, *, masked: bool) -> bytes | None:
    """Give the frame of a message; None where wsproto should make it.

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
    return b"".join((head, key, _mask(payload, key)))


def _mask(payload: bytes, key: bytes) -> bytes:
    """Apply a masking key, or take it off."""
    size = len(payload)
    long_key = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(payload, "little") ^ long_key).to_bytes(size, "little")


class FrameReader:
    """Takes what a socket brings and gives whole messages, and between them what wsproto is to read.

    Begins at the first byte after the handshake.

    Args:
        masked: the peer is a client, which must mask.
    """

    def __init__(self, *, masked: bool) -> None:
        self._mask_bit = _MASKED if masked else 0
        self._owed = 0
        """Bytes of a frame that wsproto has begun to read."""
        self._begun = b""
        """As much of a frame's head as has come; wsproto has it too."""
        self._in_pieces = False
        """A message of several frames has begun: whatever comes belongs to it, or is wsproto's to refuse."""

    def feed(self, data: bytes) -> list[Message | Unread]:
        """Take what was received; what it gives has all of its bytes, in order."""
        found: list[Message | Unread] = []
        at, passed = 0, len(self._begun)
        if self._owed:
            at = min(self._owed, len(data))
            self._owed -= at
            found.append(Unread(data[:at]))
        elif passed:
            data, self._begun = self._begun + data, b""
        size = len(data)
        while at < size:
            begin, end = _bounds(data, at, size)
            if not begin:
                self._begun = data[at:]
                found.append(Unread(data[at + passed :]))
                break
            message = self._whole(data, at, begin, end) if end <= size and not passed else None
            if message is None:
                self._note(data[at])
                self._owed = max(0, end - size)
                found.append(Unread(data[at + passed : end]))
            else:
                found.append(message)
            at, passed = end, 0
        return found

    def _whole(self, data: bytes, at: int, begin: int, end: int) -> Message | None:
        """Give the message that a frame is; None where it is not one, or large."""
        first, second = data[at], data[at + 1]
        if (first != _BINARY and first != _TEXT) or second & _MASKED != self._mask_bit or self._in_pieces:
            return None
        size = end - begin
        length = second & _LENGTH
        if length == _EIGHT_BYTES or (length == _TWO_BYTES and size < _TWO_BYTES):
            return None
        payload = data[begin:end]
        if self._mask_bit:
            if size > _MOST_MASKED:
                return None
            payload = _mask(payload, data[begin - 4 : begin])
        if first == _BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return None

    def _note(self, first: int) -> None:
        """Keep in mind what wsproto was given."""
        if first & _OPCODE < _FIRST_CONTROL:
            self._in_pieces = not first & _LAST


def _bounds(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Say where the payload of the frame at `at` begins and ends; zeros where its head is not all there."""
    if size - at < 2:
        return 0, 0
    second = data[at + 1]
    length = second & _LENGTH
    begin = at + (6 if second & _MASKED else 2)
    if length == _TWO_BYTES:
        begin += 2
        length = int.from_bytes(data[at + 2 : at + 4], "big")
    elif length == _EIGHT_BYTES:
        begin += 8
        length = int.from_bytes(data[at + 2 : at + 10], "big")
    return (begin, begin + length) if begin <= size else (0, 0)
