"""Large frames of which only some chunks have arrived.

Owns what they may hold: each one has the payload's limit, and all of one connection
together have another. `batches.Inbox` asks; what a whole frame means is its matter.
"""

from __future__ import annotations

from openenv_async.errors import InvalidMessage, PayloadTooLarge
from openenv_async.protocol.frames import Chunk

ENVELOPE_BYTES = 4096
"""What a frame may have around its payload; the limit is the payload's, and what is chunked is the frame."""

PIECE_BYTES = 256
"""What one unfinished frame costs besides its bytes, so that many tiny ones are bounded too."""


class _Pieces:
    """The chunks of one frame; `parts` is None once it was refused, until its last chunk has passed."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] | None = []
        self.size = 0


class Unfinished:
    """Puts frames together. Give each chunk to `take()`.

    Args:
        max_bytes: of one payload.
        max_total: of all of them together; None: no bound.
    """

    def __init__(self, max_bytes: int, max_total: int | None = None) -> None:
        self._max_bytes = max_bytes
        # One frame of the largest size must fit, or nothing would get through.
        self._max_total = None if max_total is None else max(max_total, max_bytes + ENVELOPE_BYTES + PIECE_BYTES)
        self._by_session: dict[int, dict[int, _Pieces]] = {}
        self.held_bytes = 0

    def take(self, chunk: Chunk) -> bytes | InvalidMessage | PayloadTooLarge | None:
        """Take a chunk; give the whole frame with its last one, or an error with the first that does not fit."""
        if chunk.seq == 0:
            self._drop(chunk.sid, chunk.rid)
        pieces = self._by_session.get(chunk.sid, {}).get(chunk.rid)
        if pieces is None:
            if not self._fits(PIECE_BYTES):
                return self._too_much()
            # Also for a first chunk that is none: the rest of its frame is to pass without a further error.
            pieces = self._by_session.setdefault(chunk.sid, {})[chunk.rid] = _Pieces()
            self.held_bytes += PIECE_BYTES
        error = None if pieces.parts is None else self._problem(chunk, len(pieces.parts), pieces.size)
        if error is not None:
            self._refuse(pieces)
        elif pieces.parts is not None:
            pieces.parts.append(chunk.data)
            pieces.size += len(chunk.data)
            self.held_bytes += len(chunk.data)
        if chunk.last:
            whole = None if pieces.parts is None else b"".join(pieces.parts)
            self._drop(chunk.sid, chunk.rid)
            return error or whole
        return error

    def forget(self, sid: int) -> None:
        """Drop what has arrived of a session's frames."""
        for rid in list(self._by_session.get(sid, ())):
            self._drop(sid, rid)

    def _problem(self, chunk: Chunk, due: int, size: int) -> InvalidMessage | PayloadTooLarge | None:
        if chunk.seq != due:
            return InvalidMessage(f"chunk {chunk.seq} arrived where chunk {due} was due")
        if size + len(chunk.data) > self._max_bytes + ENVELOPE_BYTES:
            return too_large(size + len(chunk.data), self._max_bytes, "or more ")
        return None if self._fits(len(chunk.data)) else self._too_much()

    def _fits(self, more: int) -> bool:
        return self._max_total is None or self.held_bytes + more <= self._max_total

    def _too_much(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"unfinished requests of this connection hold {self.held_bytes:,} bytes; "
            f"the limit is {self._max_total:,} bytes (max_connection_bytes): send fewer large ones at a time",
            size=self.held_bytes,
            limit=self._max_total,
        )

    def _refuse(self, pieces: _Pieces) -> None:
        self.held_bytes -= pieces.size
        pieces.parts, pieces.size = None, 0

    def _drop(self, sid: int, rid: int) -> None:
        of_session = self._by_session.get(sid)
        pieces = of_session.pop(rid, None) if of_session else None
        if pieces is not None:
            self.held_bytes -= pieces.size + PIECE_BYTES
        if of_session is not None and not of_session:
            del self._by_session[sid]


def too_large(size: int, limit: int, more: str = "") -> PayloadTooLarge:
    """Make the error for a payload of `size` bytes where `limit` are allowed."""
    return PayloadTooLarge(
        f"the payload has {size:,} {more}bytes; the limit is {limit:,} bytes (max_message_bytes)",
        size=size,
        limit=limit,
    )
