"""The server's end of the socket to a session's process: on the event loop, without a thread or a task."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from openenv_async.runtime.processes.packets import Bytes, packets_of


class Channel:
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
