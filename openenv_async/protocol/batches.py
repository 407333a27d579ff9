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

from openenv_async.errors import InvalidMessage, InvalidPayload, PayloadTooLarge, UnknownType
from openenv_async.protocol.frames import AnyFrame, Chunk, ClientFrame, ServerFrame, encode, encode_batch

FrameT = TypeVar("FrameT", bound=AnyFrame)

CLIENT_SIDE: msgspec.msgpack.Decoder[list[ServerFrame]] = msgspec.msgpack.Decoder(list[ServerFrame])
SERVER_SIDE: msgspec.msgpack.Decoder[list[ClientFrame]] = msgspec.msgpack.Decoder(list[ClientFrame])

_RAW_LIST = msgspec.msgpack.Decoder(list[msgspec.Raw])
_INT = msgspec.msgpack.Decoder(int)

BATCH_FRAMES = 1024
"""Frames in one message at most, so that a reader can answer the first before the last has arrived."""


class BadFrame(Exception):
    """A frame that could not be read: which request it belonged to, if that much could be, and why."""

    def __init__(self, sid: int, rid: int, error: InvalidMessage | PayloadTooLarge) -> None:
        super().__init__(sid, rid, error)
        self.sid, self.rid, self.error = sid, rid, error


class Outbox:
    """Frames waiting to leave one connection. Put frames in, then `take()` messages until it is empty."""

    def __init__(self, chunk_bytes: int) -> None:
        self._small: list[AnyFrame] = []
        self._large: deque[Iterator[Chunk]] = deque()
        self._chunk_bytes = chunk_bytes
        self.queued_bytes = 0
        """Payload bytes put in and not yet taken; the caller stops reading its peer above a bound."""

    def __bool__(self) -> bool:
        return bool(self._small or self._large)

    def put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Add a frame; `payload_bytes` is the size of its `data`, which decides whether it is chunked."""
        self.queued_bytes += payload_bytes
        if payload_bytes > self._chunk_bytes:
            self._large.append(self._chunks(frame))
        else:
            self._small.append(frame)

    def take(self) -> bytes:
        """Give the next message: every small frame that is ready, and one chunk of one large frame."""
        frames = self._small[:BATCH_FRAMES]
        del self._small[:BATCH_FRAMES]
        if self._large:
            chunks = self._large.popleft()
            chunk = next(chunks, None)
            if chunk is not None:
                frames.append(chunk)
                if not chunk.last:
                    self._large.append(chunks)
        if not self:
            self.queued_bytes = 0
        return encode_batch(frames)

    def _chunks(self, frame: AnyFrame) -> Iterator[Chunk]:
        whole = memoryview(encode(frame))
        sid, rid = cast("int", getattr(frame, "sid", 0)), cast("int", getattr(frame, "rid", 0))
        size = self._chunk_bytes
        for seq, start in enumerate(range(0, len(whole), size)):
            piece = bytes(whole[start : start + size])
            last = start + size >= len(whole)
            yield Chunk(sid, rid, seq, last, piece)
            self.queued_bytes = max(0, self.queued_bytes - len(piece))


class Inbox(Generic[FrameT]):
    """Reads messages. Give each to `receive()`, which yields frames and what could not be read.

    Args:
        decoder: `CLIENT_SIDE` or `SERVER_SIDE`.
        max_bytes: the largest frame that will be put together from chunks.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[list[FrameT]], max_bytes: int) -> None:
        self._decoder = decoder
        self._max_bytes = max_bytes
        self._partial: dict[tuple[int, int], list[bytes] | None] = {}
        self._sizes: dict[tuple[int, int], int] = {}

    def receive(self, message: bytes | str) -> list[FrameT | BadFrame]:
        """Read one message. A bad frame does not hide the good ones beside it."""
        if isinstance(message, str):
            return [BadFrame(0, 0, InvalidMessage("this wire takes binary messages only, and got a text message"))]
        try:
            frames: list[FrameT] = self._decoder.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._one_by_one(message)
        if any(type(frame) is Chunk for frame in frames):
            return [whole for frame in frames for whole in self._assemble(frame)]
        return cast("list[FrameT | BadFrame]", frames)

    def forget(self, sid: int) -> None:
        """Drop what has arrived of a session's unfinished large frames."""
        for key in [key for key in self._partial if key[0] == sid]:
            del self._partial[key]
            self._sizes.pop(key, None)

    def _one_by_one(self, message: bytes) -> list[FrameT | BadFrame]:
        try:
            raws = _RAW_LIST.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return [BadFrame(0, 0, InvalidMessage(f"the message is not a msgpack array of frames: {exc}"))]
        out: list[FrameT | BadFrame] = []
        for raw in raws:
            # A batch of one keeps a single decoder for both paths.
            out += self._read_one(bytes(raw))
        return out

    def _read_one(self, raw: bytes) -> list[FrameT | BadFrame]:
        try:
            frame = self._decoder.decode(b"\x91" + raw)[0]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return [_explain(raw, exc)]
        return self._assemble(frame)

    def _assemble(self, frame: FrameT) -> list[FrameT | BadFrame]:
        if not isinstance(frame, Chunk):
            return [frame]
        key = (frame.sid, frame.rid)
        if frame.seq == 0:
            self._partial[key], self._sizes[key] = [], 0
        parts = self._partial.get(key)
        size = self._sizes.get(key, 0) + len(frame.data)
        if parts is None:
            return self._skip(key, frame)
        if size > self._max_bytes or frame.seq != len(parts):
            self._partial[key] = None
            if size > self._max_bytes:
                error: InvalidMessage | PayloadTooLarge = too_large(size, self._max_bytes, "or more ")
            else:
                error = InvalidMessage(f"chunk {frame.seq} arrived where chunk {len(parts)} was due")
            self._skip(key, frame)
            return [BadFrame(frame.sid, frame.rid, error)]
        parts.append(frame.data)
        self._sizes[key] = size
        if not frame.last:
            return []
        del self._partial[key], self._sizes[key]
        return self._read_one(b"".join(parts))

    def _skip(self, key: tuple[int, int], frame: Chunk) -> list[FrameT | BadFrame]:
        if frame.last:
            self._partial.pop(key, None)
            self._sizes.pop(key, None)
        return []


def too_large(size: int, limit: int, more: str = "") -> PayloadTooLarge:
    """Make the error for a payload of `size` bytes where `limit` are allowed."""
    return PayloadTooLarge(
        f"the payload has {size:,} {more}bytes; the limit is {limit:,} bytes (max_message_bytes)",
        size=size,
        limit=limit,
    )


def _explain(raw: bytes, exc: Exception) -> BadFrame:
    """Find out which request a broken frame belonged to, as far as its first fields can be read."""
    numbers = [0, 0, 0]
    try:
        fields = _RAW_LIST.decode(raw)
        for at, field in enumerate(fields[:3]):
            numbers[at] = _INT.decode(bytes(field))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    tag, sid, rid = numbers
    text = str(exc).replace(" - at `$[0]", " at `frame")
    if "Invalid value" in text and "tag" not in text and tag:
        return BadFrame(sid, rid, UnknownType(f"unknown frame type {tag}"))
    return BadFrame(sid, rid, InvalidPayload(f"malformed frame of type {tag}: {text}"))
