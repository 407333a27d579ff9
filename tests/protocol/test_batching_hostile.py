"""Messages that no honest peer sends: each gets an error that names its request, and hides nothing beside it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_async.errors import InvalidMessage, InvalidPayload, UnknownType
from openenv_async.limits import MIB
from openenv_async.protocol import batching
from openenv_async.protocol.batching import CLIENT_SIDE, SERVER_SIDE, BadFrame, Inbox, split_array
from openenv_async.protocol.frames import AnyFrame, Cancel, Chunk, Hello, Open, Step, encode, encode_batch

DEPTH = 100_000
NIL = msgspec.Raw(b"\xc0")
GOOD: list[AnyFrame] = [Open(1), Cancel(1, 2)]

DEEP = {
    "arrays": b"\x91" * DEPTH + b"\xc0",
    "maps": b"\x81\xa1k" * DEPTH + b"\xc0",
    "wide arrays": b"\xdd\x00\x00\x00\x01" * DEPTH + b"\xc0",
    "wide maps": b"\xdf\x00\x00\x00\x01\xa1k" * DEPTH + b"\xc0",
}


def inbox() -> Inbox[Any]:
    return Inbox(SERVER_SIDE, MIB)


def pack(*values: Any) -> bytes:
    return msgspec.msgpack.encode(list(values))


def batch(*frames: bytes) -> bytes:
    assert len(frames) < 16
    return bytes([0x90 | len(frames)]) + b"".join(frames)


def only_bad(frames: list[Any]) -> BadFrame:
    (bad,) = frames
    assert isinstance(bad, BadFrame)
    return bad


BAD_FRAMES: dict[str, tuple[bytes, tuple[int, int], type[InvalidMessage], str]] = {
    "unknown tag": (pack(99, 4, 5), (4, 5), UnknownType, "unknown frame type 99"),
    "a server's frame": (encode(Hello(1, "x")), (1, 0), UnknownType, "unknown frame type 16"),
    "field missing": (pack(3, 4), (4, 0), InvalidPayload, "of type 3"),
    "field of another type": (pack(3, 4, 5, None, "soon"), (4, 5), InvalidPayload, r"\[4\]"),
    "rid that is text": (pack(6, 4, "five"), (4, 0), InvalidPayload, "of type 6"),
    "not an array": (msgspec.msgpack.encode({"sid": 1}), (0, 0), InvalidPayload, "malformed frame"),
    "a number": (msgspec.msgpack.encode(7), (0, 0), InvalidPayload, "malformed frame"),
    "empty": (pack(), (0, 0), InvalidPayload, "malformed frame"),
    "tag that is text": (pack("step", 4, 5), (0, 0), InvalidPayload, "malformed frame"),
    "bytes where text should be": (pack(7, 4, 5, b"x", True, b""), (4, 5), InvalidPayload, "malformed frame"),
    "text that is not UTF-8": (
        b"\x96\x07\x04\x05\x00\xc3" + b"\xa2\xff\xfe",
        (4, 5),
        InvalidPayload,
        "malformed frame",
    ),
    "an integer beyond 64 bits": (b"\x93\x06\x04\xc1", (0, 0), InvalidMessage, "not a msgpack array"),
}
"""Name to: the bytes, what is known of the request, the error and a part of its sentence."""

READABLE = {name: case for name, case in BAD_FRAMES.items() if case[2] is not InvalidMessage}


@pytest.mark.parametrize(("raw", "ids", "error", "words"), READABLE.values(), ids=list(READABLE))
def test_a_bad_frame_names_its_request_and_hides_nothing(
    raw: bytes, ids: tuple[int, int], error: type[InvalidMessage], words: str
) -> None:
    before, bad, after = inbox().receive(batch(encode(GOOD[0]), raw, encode(GOOD[1])))
    assert [before, after] == GOOD
    assert isinstance(bad, BadFrame)
    assert (bad.sid, bad.rid) == ids
    assert type(bad.error) is error
    with pytest.raises(error, match=words):
        raise bad.error


MESSAGES = {
    "nothing": b"",
    "text": "hello",
    "a JSON message": b'{"type":"reset"}',
    "garbage": b"\xc1\xc1\xc1",
    "truncated": encode_batch(GOOD)[:-1],
    "cut in a length": b"\x92\x92\x01\x01\xdb\x00",
    "more frames announced than there are": b"\xdd\xff\xff\xff\xff" + encode(GOOD[0]),
    "bytes after the end": encode_batch(GOOD) + b"\x00",
    "no array": msgspec.msgpack.encode({"a": 1}),
    "a frame without a batch": encode(Open(1)),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
def test_an_unreadable_message_is_an_error_and_the_next_one_is_read(message: bytes | str) -> None:
    box = inbox()
    bad = [frame for frame in box.receive(message) if isinstance(frame, BadFrame)]
    assert bad
    assert all(str(frame.error) for frame in bad)
    assert box.receive(encode_batch(GOOD)) == GOOD


@pytest.mark.parametrize("deep", DEEP.values(), ids=list(DEEP))
@pytest.mark.parametrize("place", ["payload", "field"])
def test_nesting_without_end_names_its_request_and_hides_nothing(deep: bytes, place: str) -> None:
    head = b"\x94\x03\x04\x05" if place == "payload" else b"\x93\x06\x04"
    before, bad, after = inbox().receive(batch(encode(GOOD[0]), head + deep, encode(GOOD[1])))
    assert [before, after] == GOOD
    assert isinstance(bad, BadFrame)
    assert (bad.sid, bad.rid) == ((4, 5) if place == "payload" else (4, 0))
    assert isinstance(bad.error, InvalidPayload)
    assert ("nested too deep" if place == "payload" else "Expected `int`") in str(bad.error)


@pytest.mark.parametrize("deep", DEEP.values(), ids=list(DEEP))
def test_a_message_that_is_nothing_but_nesting(deep: bytes) -> None:
    assert all(isinstance(frame, BadFrame) for frame in inbox().receive(deep))


def test_the_client_side_survives_nesting_too() -> None:
    deep = b"\x96\x13\x04\x05\xa1c\xa1m" + DEEP["maps"]
    bad = only_bad(Inbox[Any](CLIENT_SIDE, MIB).receive(batch(deep)))
    assert (bad.sid, bad.rid) == (4, 5)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_whatever_escape_as_an_exception(data: bytes) -> None:
    inbox().receive(data)
    inbox().receive(b"\x91" + data)


class Piece:
    """Chunks of one frame of session 4, request 5."""

    whole = encode(Step(4, 5, msgspec.Raw(msgspec.msgpack.encode(b"x" * 90))))

    @classmethod
    def at(cls, seq: int, last: bool = False, data: bytes | None = None) -> bytes:
        piece = cls.whole[seq * 40 : seq * 40 + 40] if data is None else data
        return encode(Chunk(4, 5, seq, last, piece))


def test_chunks_of_several_sessions_and_requests_may_be_interleaved() -> None:
    box = inbox()
    other = encode(Step(6, 1, NIL))
    out: list[Any] = []
    out += box.receive(batch(Piece.at(0), encode(Chunk(6, 1, 0, False, other[:2]))))
    out += box.receive(batch(encode(Chunk(4, 9, 0, False, b"\x93")), Piece.at(1)))
    out += box.receive(batch(encode(Chunk(6, 1, 1, True, other[2:])), encode(GOOD[0]), Piece.at(2, True)))
    assert out == [Step(6, 1, NIL), GOOD[0], SERVER_SIDE.decode(batch(Piece.whole))[0]]


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([Piece.at(1), Piece.at(2, True)], "chunk 1 arrived where chunk 0 was due"),
        ([Piece.at(0), Piece.at(2, True)], "chunk 2 arrived where chunk 1 was due"),
        ([Piece.at(0), Piece.at(1), Piece.at(1), Piece.at(2, True)], "chunk 1 arrived where chunk 2 was due"),
        ([Piece.at(-1), Piece.at(0, True, b"")], "chunk -1"),
        ([Piece.at(0, True, b"\xc1")], "malformed frame"),
        ([Piece.at(0, True, b"")], "malformed frame"),
        ([Piece.at(0, True, b"\x94\x03\x04\x05" + DEEP["maps"])], "nested too deep"),
        ([Piece.at(0, True, Piece.at(0, True, encode(GOOD[0])))], "the chunks make a chunk"),
    ],
)
def test_chunks_that_make_no_frame_are_one_error(chunks: list[bytes], words: str) -> None:
    box = inbox()
    found = [frame for chunk in chunks for frame in box.receive(batch(chunk))]
    assert isinstance(found[0], BadFrame)
    assert (found[0].sid, found[0].rid) in ((4, 5), (0, 0))
    with pytest.raises(InvalidMessage, match=words):
        raise found[0].error
    assert len(found) == 1 or words.startswith("chunk -1")
    assert box.receive(batch(*[Piece.at(seq, seq == 2) for seq in range(3)])), "the request can be sent again"


def test_chunks_in_chunks_in_chunks() -> None:
    raw = encode(GOOD[0])
    for _ in range(5_000):
        raw = encode(Chunk(1, 1, 0, True, raw))
    bad = only_bad(inbox().receive(batch(raw)))
    assert (bad.sid, bad.rid) == (1, 1)


LEAVES = st.none() | st.floats() | st.text(max_size=40) | st.binary(max_size=40) | st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8)


@given(st.lists(VALUES, max_size=20))
@settings(deadline=None, max_examples=50)
def test_an_array_is_split_into_its_elements(values: list[Any]) -> None:
    assert split_array(msgspec.msgpack.encode(values)) == [msgspec.msgpack.encode(value) for value in values]


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
def test_values_of_every_width_are_split(size: int) -> None:
    values = [
        "x" * size,
        b"x" * size,
        msgspec.msgpack.Ext(5, b"x" * size),
        list(range(size)),
        dict.fromkeys(range(size)),
    ]
    assert split_array(msgspec.msgpack.encode(values)) == [msgspec.msgpack.encode(value) for value in values]


def test_splitting_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_VALUES", 1000)
    with pytest.raises(ValueError, match="more than 1000 values"):
        split_array(msgspec.msgpack.encode([[0] * 1000]))
    bad = only_bad(inbox().receive(batch(b"\x94\x03\x04\x05" + DEEP["arrays"])))
    assert (bad.sid, bad.rid) == (0, 0)
