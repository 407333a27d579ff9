"""The process's end of the socket to the server."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from typing import NoReturn

from openenv_async.protocol.batches import too_large
from openenv_async.runtime.calls import Outcome
from openenv_async.runtime.processes import messages
from openenv_async.runtime.processes.messages import Kind, LogLine, Opening, Request
from openenv_async.runtime.processes.packets import PIECE, Bytes, packets_of


class Line:
    """Requests in, replies out. `receive` and `ready` in one thread, `answer` and the rest from any.

    When the server is gone, reading ends the process.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._out, self._in = packets_of(sock), packets_of(sock)
        self._lock = threading.Lock()
        self._buffer = memoryview(bytearray(PIECE))
        self._read: list[bytes] = []

    def receive(self) -> Request:
        """Wait for the next request."""
        while not self._read:
            size = self.sock.recv_into(self._buffer)
            if not size:
                leave()
            self._read = self._in.feed(self._buffer[:size])
        return messages.read_request(self._read.pop(0))

    def ready(self) -> list[Request]:
        """Give the requests that are there, without waiting."""
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

    def answer(self, outcome: Outcome, opening: Opening, asked: Request) -> None:
        """Send an outcome, unless it is too large to be of use to the server."""
        size = len(outcome.data)
        if size > opening.max_message_bytes:
            self.fail(too_large(size, opening.max_message_bytes), asked)
        else:
            self.send(messages.outcome_reply(outcome, asked.seat, asked.rid))

    def fail(self, error: BaseException, asked: Request) -> None:
        """Send what a request ended with."""
        self.send(messages.failed_reply(error, asked.seat, asked.rid))

    def closed(self, seat: int) -> None:
        """Say that a session's environment is closed; what it printed is out before."""
        flush()
        self.send(messages.reply(Kind.CLOSED, seat, 0, None))

    def log(self, record: LogLine) -> None:
        """Send a record of the log."""
        self.send(messages.reply(Kind.LOG, 0, 0, record))


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
