"""Whole messages of the native wire: coalescing, chunking, reading what may be broken.

`Outbox` gathers the frames that become ready in one turn of the loop and gives
them as messages; `Inbox` turns messages into frames. Neither sends nor waits:
`server.native` and `client.connection` do, over a `transport.Link`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import msgspec

from openenv_async.errors import EnvError, InvalidMessage, InvalidPayload, PayloadTooLarge, UnknownType
from openenv_async.protocol.frames import AnyFrame, Chunk, ClientFrame, ServerFrame, encode, encode_batch
from openenv_async.protocol.splitting import split_array
from openenv_async.protocol.unfinished import Unfinished
from openenv_async.protocol.unfinished import too_large as too_large

FrameT = TypeVar("FrameT", bound=AnyFrame)

CLIENT_SIDE: msgspec.msgpack.Decoder[list[ServerFrame]] = msgspec.msgpack.Decoder(list[ServerFrame])
SERVER_SIDE: msgspec.msgpack.Decoder[list[ClientFrame]] = msgspec.msgpack.Decoder(list[ClientFrame])

_RAW_LIST = msgspec.msgpack.Decoder(list[msgspec.Raw])
_INT = msgspec.msgpack.Decoder(int)

BATCH_FRAMES = 1024
"""Frames in one message at most, so that a reader can answer the first before the last has arrived."""

MOST_FRAMES = 4096
"""Frames that are read from one message: reading broken ones takes some 10 µs each, and others wait meanwhile."""

_LONG_ARRAYS = (b"\xdc", b"\xdd")
"""First bytes of msgpack arrays of 16 and more; a count of 2 or 4 bytes follows."""


class BadFrame(Exception):
    """A frame that could not be read: which request it belonged to, if that much could be, and why."""

    def __init__(self, sid: int, rid: int, error: InvalidMessage | PayloadTooLarge) -> None:
        super().__init__(sid, rid, error)
        self.sid, self.rid, self.error = sid, rid, error


def slice_of(sessions: int) -> int:
    """Say how many frames of one message to act on in one turn of the loop.

    In slices, the first sessions' next frames leave while the rest are still being
    read, and both ends of a connection work at the same time; all at once, each end
    waits for the other's whole batch. Thirds: while each end works on one slice, a
    third is on its way, so that neither sleeps at a hand-over. Measured on two cores,
    thousands of steps/s, all at once, in halves, in thirds, in quarters:
    16 sessions 82, 105, 165, 147; 64 sessions 124, 200, 244, 236.
    """
    return max(1, -(-sessions // 3))


class Outbox:
    """Frames waiting to leave one connection. Put frames in, then `take()` messages until it is empty.

    A message holds some `chunk_bytes` of payload at most, twice that with a chunk. The frames of one
    session leave in the order in which they were put; sessions overtake each other.
    """

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._frames: deque[AnyFrame] = deque()
        self._sizes: deque[int] = deque()
        self._large: deque[tuple[int, Iterator[Chunk]]] = deque()
        self._behind: dict[int, list[tuple[AnyFrame, int]]] = {}
        """By session: what waits until its large frame has left."""
        self.queued_bytes = 0
        """Payload bytes put in and not yet taken; the caller stops reading its peer above a bound."""

    def __bool__(self) -> bool:
        return bool(self._frames or self._large)

    @property
    def queued_frames(self) -> int:
        """Frames put in and not yet taken; one without a payload has no `queued_bytes`."""
        return len(self._frames) + len(self._large) + sum(map(len, self._behind.values()))

    def put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Add a frame; `payload_bytes` is the size of its `data`, which decides whether it is chunked."""
        self.queued_bytes += payload_bytes
        self._frames.append(frame)
        self._sizes.append(payload_bytes)

    def take(self) -> bytes:
        """Give the next message: the small frames that are ready, and one chunk of one large frame."""
        if not self._large and self.queued_bytes <= self._chunk_bytes and len(self._frames) <= BATCH_FRAMES:
            frames = list(self._frames)
            self._frames.clear()
            self._sizes.clear()
            self.queued_bytes = 0
        else:
            frames = self._take_small()
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
            for frame, size in reversed(self._behind.pop(sid)):
                self._frames.appendleft(frame)
                self._sizes.appendleft(size)
        else:
            self._large.append((sid, chunks))
        return chunk

    def _chunks(self, frame: AnyFrame, payload_bytes: int) -> Iterator[Chunk]:
        whole = memoryview(encode(frame))
        sid, rid = _sid(frame), cast("int", getattr(frame, "rid", 0))
        size, left = self._chunk_bytes, payload_bytes
        for seq, start in enumerate(range(0, len(whole), size)):
            piece = bytes(whole[start : start + size])
            last = start + size >= len(whole)
            gone = left if last else min(left, len(piece))
            left -= gone
            self.queued_bytes -= gone
            yield Chunk(sid, rid, seq, last, piece)


def _sid(frame: AnyFrame) -> int:
    return cast("int", getattr(frame, "sid", 0))


class Inbox(Generic[FrameT]):
    """Reads messages. Give each to `receive()`, which yields frames and what could not be read.

    Args:
        decoder: `CLIENT_SIDE` or `SERVER_SIDE`.
        max_bytes: the largest payload of a frame that will be put together from chunks.
        max_unfinished: the most that all frames may hold of which only some chunks have arrived; None: no bound.
    """

    def __init__(
        self, decoder: msgspec.msgpack.Decoder[list[FrameT]], max_bytes: int, max_unfinished: int | None = None
    ) -> None:
        self._decoder = decoder
        self._unfinished = Unfinished(max_bytes, max_unfinished)

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
        """What the large frames hold that have arrived in part."""
        return self._unfinished.held_bytes

    def forget(self, sid: int) -> None:
        """Drop what has arrived of a session's unfinished large frames."""
        self._unfinished.forget(sid)

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
        joined = self._unfinished.take(frame)
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
    """Give the bytes of each element, however deep it is nested."""
    try:
        return [bytes(raw) for raw in _RAW_LIST.decode(array)]
    except RecursionError:
        return split_array(array)


def _explain(raw: bytes, exc: Exception) -> BadFrame:
    """Find out which request a broken frame belonged to, as far as its first fields can be read."""
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
