"""The process's end of the socket to the server."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

from openenv_async.protocol.batching import too_large
from openenv_async.runtime.calls import Outcome
from openenv_async.runtime.processes import messages
from openenv_async.runtime.processes.messages import ChildRequest, LogLine, Opening, ReplyKind

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
        """Return what is to be sent, each in a send of its own."""

    def feed(self, data: memoryview) -> list[bytes]:
        """Take what one receive gave, and give the messages that are complete. Keeps no reference to `data`."""


class Sequenced(Packets):
    """`SOCK_SEQPACKET`: the kernel keeps packets apart. The first byte of each says whether more follow."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def cut(self, message: bytes) -> list[Bytes]:
        if len(message) <= PIECE:
            return [message]
        view = memoryview(message)[1:]
        pieces: list[Bytes] = [_MORE + view[at : at + PIECE - 1] for at in range(0, len(view), PIECE - 1)]
        pieces[-1] = _LAST + memoryview(pieces[-1])[1:]
        return pieces

    def feed(self, data: memoryview) -> list[bytes]:
        if data[0]:
            self._parts.append(bytes(data[1:]))
            return []
        if not self._parts:
            return [bytes(data)]
        message = b"".join((_LAST, *self._parts, data[1:]))
        self._parts.clear()
        return [message]


class Streamed(Packets):
    """`SOCK_STREAM`: each message after its length."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def cut(self, message: bytes) -> list[Bytes]:
        return [_LENGTH.pack(len(message)) + message]

    def feed(self, data: memoryview) -> list[bytes]:
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
    """Return the way of a socket's own type."""
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


class ProcessChannel:
    """Whole messages both ways.

    Args:
        sock: this end; the channel closes it.
        heard: called with each message.
        lost: called once when the other end has gone; never after `close()`.
        buffer: to read into, of `PIECE` bytes; what is in it is copied before anything else happens, so that
            the channels of one loop can share it.
    """

    def __init__(
        self, sock: socket.socket, heard: Callable[[bytes], None], lost: Callable[[], None], buffer: memoryview
    ) -> None:
        sock.setblocking(False)
        self._sock, self._fd = sock, sock.fileno()
        self._heard, self._lost = heard, lost
        self._out, self._in = packets_of(sock), packets_of(sock)
        self._unsent: deque[Bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._buffer = buffer
        self._loop.add_reader(self._fd, self._on_readable)
        self._open = True

    def send(self, message: bytes) -> None:
        """Send, now or as soon as the other end reads. Does nothing once the other end has gone."""
        if not self._open:
            return
        waiting = bool(self._unsent)
        self._unsent.extend(self._out.cut(message))
        if not waiting and not self._flush():
            self._loop.add_writer(self._fd, self._on_writable)

    def _flush(self) -> bool:
        """Send what can be sent; True when nothing is left."""
        unsent = self._unsent
        try:
            while unsent:
                piece = unsent[0]
                sent = self._sock.send(piece)
                if sent < len(piece):  # a stream takes as much as it has room for
                    unsent[0] = memoryview(piece)[sent:]
                else:
                    unsent.popleft()
        except BlockingIOError:
            return False
        except OSError:
            # Reading tells what became of the other end.
            unsent.clear()
        return True

    def _on_writable(self) -> None:
        if self._flush():
            self._loop.remove_writer(self._fd)

    def _on_readable(self) -> None:
        if not self._read() and self._open:
            self.close()
            self._lost()

    def _read(self) -> bool:
        """Do one read; False when the other end has gone."""
        try:
            size = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not size:
            return False
        for message in self._in.feed(self._buffer[:size]):
            self._heard(message)
        return True

    def drain(self) -> None:
        """Read all that the other end, which has gone, left behind."""
        try:
            while self._open:
                size = self._sock.recv_into(self._buffer)
                if not size:
                    return
                for message in self._in.feed(self._buffer[:size]):
                    self._heard(message)
        except OSError:  # nothing more is there
            return

    def close(self) -> None:
        """Close this end. Safe to repeat."""
        if not self._open:
            return
        self._open = False
        self._unsent.clear()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._sock.close()


class ServerChannel:
    """Requests in, replies out. `receive` and `ready` in one thread, `answer` and the rest from any.

    When the server is gone, reading ends the process.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._out, self._in = packets_of(sock), packets_of(sock)
        self._lock = threading.Lock()
        self._buffer = memoryview(bytearray(PIECE))
        self._read: list[bytes] = []

    def receive(self) -> ChildRequest:
        """Wait for the next request."""
        while not self._read:
            size = self.sock.recv_into(self._buffer)
            if not size:
                leave()
            self._read = self._in.feed(self._buffer[:size])
        return messages.read_request(self._read.pop(0))

    def ready(self) -> list[ChildRequest]:
        """Return the requests that are there, without waiting."""
        found, self._read = self._read, []
        try:
            while True:
                size = self.sock.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
                if not size:
                    leave()
                found += self._in.feed(self._buffer[:size])
        except BlockingIOError:
            return [messages.read_request(message) for message in found]

    def send(self, message: bytes) -> None:
        """Send a message, whole."""
        # Held for small ones too: one must not come between the pieces of another.
        with self._lock:
            for piece in self._out.cut(message):
                self._write(piece)

    def _write(self, piece: Bytes) -> None:
        try:
            sent = self.sock.send(piece)
        except BlockingIOError:
            sent = 0
        # An event loop that reads a socket makes it non-blocking; a stream takes as much as it has room for.
        while sent < len(piece):
            writable = select.poll()
            writable.register(self.sock, select.POLLOUT)
            writable.poll()
            try:
                sent += self.sock.send(memoryview(piece)[sent:])
            except BlockingIOError:
                continue

    def answer(self, outcome: Outcome, opening: Opening, asked: ChildRequest) -> None:
        """Send an outcome, unless it is too large to be of use to the server."""
        size = len(outcome.data)
        if size > opening.max_message_bytes:
            self.fail(too_large(size, opening.max_message_bytes), asked)
        else:
            self.send(messages.outcome_reply(outcome, asked.number, asked.rid))

    def fail(self, error: BaseException, asked: ChildRequest) -> None:
        """Send what a request ended with."""
        self.send(messages.failed_reply(error, asked.number, asked.rid))

    def closed(self, number: int) -> None:
        """Report that a session's environment is closed; what it printed is sent before."""
        flush()
        self.send(messages.reply(ReplyKind.CLOSED, number, 0, None))

    def log(self, record: LogLine) -> None:
        """Send a record of the log."""
        self.send(messages.reply(ReplyKind.LOG, 0, 0, record))


def flush() -> None:
    """Write out what Python holds of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # an author may have put anything there
            continue


def leave() -> NoReturn:
    """End this process without what Python does at exit: that belongs to the server it was forked from."""
    flush()
    os._exit(0)
