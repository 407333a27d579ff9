"""Where WebSocket messages begin and end in a stream of bytes, for a proxy that is to repeat whole ones."""

from __future__ import annotations

_HEAD_END = b"\r\n\r\n"
_MASKED = 0x80
_WIDTHS = {126: 2, 127: 8}


class Messages:
    """Follows one way of a connection from its first byte. `cut()` what comes."""

    def __init__(self) -> None:
        self._waiting = b""
        self._in_head = True

    def cut(self, data: bytes) -> list[bytes]:
        """Give the messages that are whole now; the head of the handshake is none."""
        self._waiting += data
        whole = []
        while size := self._next():
            if not self._in_head:
                whole.append(self._waiting[:size])
            self._in_head = False
            self._waiting = self._waiting[size:]
        return whole

    @property
    def waiting(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._waiting)

    def _next(self) -> int:
        """Give the size of the frame that is whole, or 0."""
        if self._in_head:
            end = self._waiting.find(_HEAD_END)
            return 0 if end < 0 else end + len(_HEAD_END)
        if len(self._waiting) < 2:
            return 0
        length, at = self._waiting[1] & 0x7F, 2
        if length in _WIDTHS:
            at += _WIDTHS[length]
            length = int.from_bytes(self._waiting[2:at])
        if self._waiting[1] & _MASKED:
            at += 4
        return at + length if len(self._waiting) >= at + length else 0
