"""Messages of the native wire: several frames in one, large frames in chunks, and reading what may be malformed.

`Outbox` collects the frames that become ready in one turn of the loop and makes messages of them; `Inbox` turns
messages into frames. Neither sends nor waits: `transport.frame_stream` does, over a link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, cast

import msgspec

from openenv_async.errors import EnvError, InvalidMessage, InvalidPayload, PayloadTooLarge, UnknownType
from openenv_async.protocol.frames import (
    AnyFrame,
    Chunk,
    ClientFrame,
    Draining,
    Hello,
    Reply,
    Reset,
    ServerFrame,
    Step,
    encode,
    encode_batch,
)

MOST_VALUES = 250_000
"""Most values that `split_array` passes over: it runs on the event loop, at one or two million a second."""

_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
"""Tag byte to the number of bytes after it."""

_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_SIZED |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
"""Tag byte to the width of the length after it, and to the number of further bytes."""

_NESTING = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Tag byte to the width of the count after it, and to the values for each one counted."""


def split_array(message: bytes) -> list[bytes]:
    """Return the bytes of each element of a msgpack array; what follows the array is ignored.

    Raises:
        ValueError: not an array, cut short, not msgpack, or more than `MOST_VALUES` values.
    """
    if not message or not (message[0] & 0xF0 == 0x90 or message[0] in (0xDC, 0xDD)):
        raise ValueError("not an array")
    at, count = _header(message, 0)
    parts: list[bytes] = []
    budget = MOST_VALUES
    for _ in range(count):
        start, pending = at, 1
        while pending:
            at, inside = _header(message, at)
            pending += inside - 1
            budget -= 1
            if budget < 0:
                raise ValueError(f"more than {MOST_VALUES} values")
        if at > len(message):
            raise ValueError("cut short")
        parts.append(message[start:at])
    return parts


def _header(message: bytes, at: int) -> tuple[int, int]:
    """Return where the value's head ends, text and numbers included, and how many values are inside it."""
    if at >= len(message):
        raise ValueError("cut short")
    tag = message[at]
    at += 1
    if tag < 0x80 or tag >= 0xE0:
        return at, 0
    if tag < 0xA0:
        return at, tag & 0x0F if tag >= 0x90 else 2 * (tag & 0x0F)
    if tag < 0xC0:
        return at + (tag & 0x1F), 0
    if tag in _FIXED:
        return at + _FIXED[tag], 0
    if tag in _SIZED:
        width, more = _SIZED[tag]
        return at + width + more + int.from_bytes(message[at : at + width]), 0
    if tag in _NESTING:
        width, each = _NESTING[tag]
        return at + width, each * int.from_bytes(message[at : at + width])
    raise ValueError(f"byte {tag:#x} is not msgpack")


ENVELOPE_BYTES = 4096
"""Most bytes of a frame around its payload: the limit is on the payload, and what is chunked is the frame."""

PIECE_BYTES = 256
"""Counted for each unfinished frame besides its bytes, so that many tiny ones are bounded too."""


class _Pieces:
    """The chunks of one frame; `parts` is None once it was refused, until its last chunk has passed."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] | None = []
        self.size = 0


class Reassembly:
    """Joins chunks to frames. Pass each chunk to `take()`.

    Args:
        max_bytes: largest payload of one frame.
        max_total: largest number of bytes of all unfinished frames; None: any.
    """

    def __init__(self, max_bytes: int, max_total: int | None = None) -> None:
        self._max_bytes = max_bytes
        # One frame of the largest size must fit, or nothing would get through.
        self._max_total = None if max_total is None else max(max_total, max_bytes + ENVELOPE_BYTES + PIECE_BYTES)
        self._by_session: dict[int, dict[int, _Pieces]] = {}
        self.held_bytes = 0

    def take(self, chunk: Chunk) -> bytes | InvalidMessage | PayloadTooLarge | None:
        """Take a chunk; return the whole frame with its last one, or an error with the first that does not fit."""
        if chunk.seq == 0:
            self._drop(chunk.sid, chunk.rid)
        pieces = self._by_session.get(chunk.sid, {}).get(chunk.rid)
        if pieces is None:
            if not self._fits(PIECE_BYTES):
                return self._too_much()
            # Also when the first chunk is invalid: the rest of its frame must not cause further errors.
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
    """Return the error for a payload of `size` bytes where `limit` are allowed."""
    return PayloadTooLarge(
        f"the payload has {size:,} {more}bytes; the limit is {limit:,} bytes (max_message_bytes)",
        size=size,
        limit=limit,
    )


FrameT = TypeVar("FrameT", bound=AnyFrame)

CLIENT_SIDE: msgspec.msgpack.Decoder[list[ServerFrame]] = msgspec.msgpack.Decoder(list[ServerFrame])
SERVER_SIDE: msgspec.msgpack.Decoder[list[ClientFrame]] = msgspec.msgpack.Decoder(list[ClientFrame])

_RAW_LIST = msgspec.msgpack.Decoder(list[msgspec.Raw])
_INT = msgspec.msgpack.Decoder(int)

BATCH_FRAMES = 1024
"""Frames in one message at most, so that a reader can answer the first before the last has arrived."""

MOST_FRAMES = 4096
"""Most frames that are read from one message: malformed ones take some 10 µs each, while others wait."""

_LONG_ARRAYS = (b"\xdc", b"\xdd")
"""First bytes of msgpack arrays of 16 and more; a count of 2 or 4 bytes follows."""


class BadFrame(Exception):
    """A frame that could not be read: the request it belonged to, if that could be read, and why."""

    def __init__(self, sid: int, rid: int, error: InvalidMessage | PayloadTooLarge) -> None:
        super().__init__(sid, rid, error)
        self.sid, self.rid, self.error = sid, rid, error


def slice_of(sessions: int) -> int:
    """Return how many frames of one message to handle in one turn of the loop: a third of the sessions.

    Handling a whole batch at once would let each end wait for the other. Slices of a third keep both ends busy
    while one slice is in transit. Measured on two cores, thousands of steps/s, at once, in halves, in thirds, in
    quarters: 16 sessions 82, 105, 165, 147; 64 sessions 124, 200, 244, 236.
    """
    return max(1, -(-sessions // 3))


class Outbox:
    """Frames waiting to leave one connection. Call `put()`, then `take()` messages while `queued_frames`.

    A message holds about `chunk_bytes` of payload at most, twice that with a chunk. The frames of one
    session leave in the order in which they were put; sessions overtake each other.

    Args:
        chunk_bytes: frames with a larger payload are split into chunks of this size.
        wake: called by `put` while `wakes` is True; then that becomes False until its owner sets it again.
    """

    def __init__(self, chunk_bytes: int, wake: Callable[[], object] = lambda: None) -> None:
        self._chunk_bytes, self._wake = chunk_bytes, wake
        self.wakes = True
        self._frames: deque[AnyFrame] = deque()
        self._sizes: deque[int] = deque()
        self._large: deque[tuple[int, Iterator[Chunk]]] = deque()
        self._behind: dict[int, list[tuple[AnyFrame, int]]] = {}
        """By session: what waits until its large frame has left."""
        self.queued_bytes = 0
        """Payload bytes put and not yet taken; the owner stops reading its peer above a bound."""
        self.queued_frames = 0
        """Frames put and not yet taken; one without a payload has no `queued_bytes`."""

    def put(self, frame: AnyFrame, payload_bytes: int = 0, wake: bool = True) -> None:
        """Add a frame.

        Args:
            frame: what to send.
            payload_bytes: size of its `data`, which decides whether it is split.
            wake: False: the caller takes the messages at once, and `wake` need not be called.
        """
        self.queued_bytes += payload_bytes
        self.queued_frames += 1
        self._frames.append(frame)
        self._sizes.append(payload_bytes)
        if wake and self.wakes:
            self.wakes = False
            self._wake()

    def take(self) -> bytes:
        """Return the next message: the small frames that are ready, and one chunk of one large frame."""
        if not self._large and self.queued_bytes <= self._chunk_bytes and self.queued_frames <= BATCH_FRAMES:
            frames = list(self._frames)
            self._frames.clear()
            self._sizes.clear()
            self.queued_bytes = self.queued_frames = 0
        else:
            frames = self._take_small()
            self.queued_frames -= len(frames)
            if self._large:
                frames.append(self._take_chunk())
        return encode_batch(frames)

    def _take_small(self) -> list[AnyFrame]:
        frames: list[AnyFrame] = []
        room = self._chunk_bytes
        while self._frames and len(frames) < BATCH_FRAMES:
            size, sid = self._sizes[0], _sid(self._frames[0])
            if sid not in self._behind and size <= self._chunk_bytes and size > room:
                break
            self._sizes.popleft()
            frame = self._frames.popleft()
            if sid in self._behind:
                self._behind[sid].append((frame, size))
            elif size > self._chunk_bytes:
                self._behind[sid] = []
                self._large.append((sid, self._chunks(frame, size)))
            else:
                frames.append(frame)
                room -= size
                self.queued_bytes -= size
        return frames

    def _take_chunk(self) -> Chunk:
        sid, chunks = self._large.popleft()
        chunk = next(chunks)
        if chunk.last:
            self.queued_frames -= 1
            for frame, size in reversed(self._behind.pop(sid)):
                self._frames.appendleft(frame)
                self._sizes.appendleft(size)
        else:
            self._large.append((sid, chunks))
        return chunk

    def _chunks(self, frame: AnyFrame, payload_bytes: int) -> Iterator[Chunk]:
        whole = memoryview(encode(frame))
        sid, rid = _sid(frame), frame.rid if isinstance(frame, (Reset, Step, Reply)) else 0
        size, left = self._chunk_bytes, payload_bytes
        for seq, start in enumerate(range(0, len(whole), size)):
            piece = bytes(whole[start : start + size])
            last = start + size >= len(whole)
            gone = left if last else min(left, len(piece))
            left -= gone
            self.queued_bytes -= gone
            yield Chunk(sid, rid, seq, last, piece)


def _sid(frame: AnyFrame) -> int:
    return 0 if isinstance(frame, (Hello, Draining)) else frame.sid


class Inbox(Generic[FrameT]):
    """Reads messages. Pass each to `receive()`, which returns frames and what could not be read.

    Args:
        decoder: `CLIENT_SIDE` or `SERVER_SIDE`.
        max_bytes: the largest payload of a frame that will be put together from chunks.
        max_unfinished: most bytes of all frames of which only some chunks have arrived; None: any.
    """

    def __init__(
        self, decoder: msgspec.msgpack.Decoder[list[FrameT]], max_bytes: int, max_unfinished: int | None = None
    ) -> None:
        self._decoder = decoder
        self._reassembly = Reassembly(max_bytes, max_unfinished)

    def receive(self, message: bytes | str) -> list[FrameT | BadFrame]:
        """Read one message. A bad frame does not hide the good ones beside it."""
        if isinstance(message, str):
            return [BadFrame(0, 0, InvalidMessage("this wire takes binary messages only, and got a text message"))]
        if message[:1] in _LONG_ARRAYS and _count(message) > MOST_FRAMES:
            # Before a decoder makes objects of them all.
            text = f"the message is a msgpack array of frames with {_count(message):,} of them; "
            text += f"{MOST_FRAMES:,} are allowed in one"
            return [BadFrame(0, 0, InvalidMessage(text))]
        try:
            frames: list[FrameT] = self._decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._one_by_one(message)
        if Chunk in map(type, frames):
            return [whole for frame in frames for whole in self._assemble(frame)]
        return cast("list[FrameT | BadFrame]", frames)

    @property
    def held_bytes(self) -> int:
        """Bytes of the large frames that have arrived in part."""
        return self._reassembly.held_bytes

    def forget(self, sid: int) -> None:
        """Drop what has arrived of a session's unfinished large frames."""
        self._reassembly.forget(sid)

    def _one_by_one(self, message: bytes) -> list[FrameT | BadFrame]:
        try:
            raws = _elements(message)
        except (ValueError, UnicodeDecodeError) as exc:
            return [BadFrame(0, 0, InvalidMessage(f"the message is not a msgpack array of frames: {exc}"))]
        return [frame for raw in raws for frame in self._read_one(raw)]

    def _read_one(self, raw: bytes) -> list[FrameT | BadFrame]:
        frame = self._decode(raw)
        return [frame] if isinstance(frame, BadFrame) else self._assemble(frame)

    def _decode(self, raw: bytes) -> FrameT | BadFrame:
        try:
            # A batch of one keeps a single decoder for both paths.
            return self._decoder.decode(b"\x91" + raw)[0]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return _explain(raw, exc)

    def _assemble(self, frame: FrameT) -> list[FrameT | BadFrame]:
        if not isinstance(frame, Chunk):
            return [frame]
        joined = self._reassembly.take(frame)
        if joined is None:
            return []
        if isinstance(joined, EnvError):
            return [BadFrame(frame.sid, frame.rid, joined)]
        whole = self._decode(joined)
        if isinstance(whole, Chunk):
            # Else a small message could hold chunks in chunks, thousands deep.
            return [BadFrame(frame.sid, frame.rid, InvalidMessage("the chunks make a chunk, and no other frame"))]
        return [whole]


def _count(message: bytes) -> int:
    return int.from_bytes(message[1 : 3 if message[0] == 0xDC else 5])


def _elements(array: bytes) -> list[bytes]:
    """Return the bytes of each element, however deep it is nested."""
    try:
        return [bytes(raw) for raw in _RAW_LIST.decode(array)]
    except RecursionError:
        return split_array(array)


def _explain(raw: bytes, exc: Exception) -> BadFrame:
    """Return the error for a malformed frame, with the request that it belonged to if its first fields can be read."""
    numbers = [0, 0, 0]
    try:
        for at, field in enumerate(_elements(raw)[:3]):
            numbers[at] = _INT.decode(field)
    except (ValueError, UnicodeDecodeError):
        pass
    tag, sid, rid = numbers
    if isinstance(exc, RecursionError):
        return BadFrame(sid, rid, InvalidPayload(f"frame of type {tag}: its values are nested too deep"))
    text = str(exc).replace(" - at `$[0]", " at `frame")
    if "Invalid value" in text and text.endswith("at `frame[0]`"):
        return BadFrame(sid, rid, UnknownType(f"unknown frame type {tag}"))
    return BadFrame(sid, rid, InvalidPayload(f"malformed frame of type {tag}: {text}"))
