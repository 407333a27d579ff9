"""Whole messages over a pair of Unix sockets: sequenced packets where the platform has them, else a stream.

Sans-IO, used by both ends. A message is bytes that begin with a zero; the layouts
after it are `messages`'. One that fits into a packet is one send and one receive,
without a copy for framing; larger ones travel in pieces.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

PIECE = 128 * 1024
"""Bytes of a message in one packet."""

_BUFFER = 1024 * 1024
_LENGTH = struct.Struct("<I")
_MORE = b"\1"
_LAST = b"\0"

Bytes = bytes | bytearray | memoryview


class Packets(Protocol):
    """How messages are cut and put together; one object per end, because it holds what is incomplete."""

    def cut(self, message: bytes) -> list[Bytes]:
        """Give what is to be sent, each in a send of its own."""

    def feed(self, data: memoryview) -> list[bytes]:
        """Take what one receive gave, and give the messages that are complete. Keeps no reference to `data`."""


class Sequenced:
    """`SOCK_SEQPACKET`: the kernel keeps packets apart. The first byte of each says whether more follow."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def cut(self, message: bytes) -> list[Bytes]:
        """See `Packets.cut`."""
        if len(message) <= PIECE:
            return [message]
        view = memoryview(message)[1:]
        pieces: list[Bytes] = [_MORE + view[at : at + PIECE - 1] for at in range(0, len(view), PIECE - 1)]
        pieces[-1] = _LAST + memoryview(pieces[-1])[1:]
        return pieces

    def feed(self, data: memoryview) -> list[bytes]:
        """See `Packets.feed`."""
        if data[0]:
            self._parts.append(bytes(data[1:]))
            return []
        if not self._parts:
            return [bytes(data)]
        message = b"".join((_LAST, *self._parts, data[1:]))
        self._parts.clear()
        return [message]


class Streamed:
    """`SOCK_STREAM`: each message after its length."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def cut(self, message: bytes) -> list[Bytes]:
        """See `Packets.cut`."""
        return [_LENGTH.pack(len(message)) + message]

    def feed(self, data: memoryview) -> list[bytes]:
        """See `Packets.feed`."""
        unread, messages, at = self._unread, [], 0
        unread += data
        while len(unread) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(unread, at)[0]
            if len(unread) < end:
                break
            messages.append(bytes(memoryview(unread)[at + _LENGTH.size : end]))
            at = end
        del unread[:at]
        return messages


def packets_of(sock: socket.socket) -> Packets:
    """Give the way of a socket's own type."""
    return Sequenced() if sock.type == getattr(socket, "SOCK_SEQPACKET", None) else Streamed()


def socket_pair(kind: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Make two connected sockets, not inherited by programs that are started.

    Args:
        kind: the socket type; by default sequenced packets where they exist.
    """
    if kind is None:
        kind = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM)
    try:
        ends = socket.socketpair(socket.AF_UNIX, kind)
    except OSError:  # macOS names the type and does not have it
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    return ends
