"""What reads messages raises what it promises and nothing else, and reads the next message as if nothing had been."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from conftest import TEST_ALL
from fuzz_inputs import JSON, NATIVE
from hypothesis import given, settings
from hypothesis import strategies as st
from requirements import requirement

from openenv_async.errors import InvalidMessage, InvalidPayload, PayloadTooLarge, UnknownType
from openenv_async.protocol import openenv_json
from openenv_async.protocol.batching import CLIENT_SIDE, SERVER_SIDE, BadFrame, Inbox, Outbox, split_array
from openenv_async.protocol.frames import AnyFrame, Closed, Open, Reply, Step, encode_batch

pytestmark = pytest.mark.slow

MOST_BYTES = 500
SIDES = pytest.mark.parametrize("decoder", [SERVER_SIDE, CLIENT_SIDE], ids=["server", "client"])
AFTER: dict[int, list[AnyFrame]] = {id(SERVER_SIDE): [Open(2**40)], id(CLIENT_SIDE): [Closed(2**40)]}

thorough = settings(deadline=None, max_examples=400 if TEST_ALL else 80)


@requirement("faults:fuzz-decoders")
@SIDES
@given(messages=st.lists(NATIVE | st.text(max_size=10), max_size=6))
@thorough
def test_an_inbox_gives_frames_or_explains(decoder: Any, messages: list[bytes | str]) -> None:
    inbox: Inbox[Any] = Inbox(decoder, MOST_BYTES)
    for message in messages:
        for frame in inbox.receive(message):
            if isinstance(frame, BadFrame):
                assert isinstance(frame.error, (InvalidMessage, PayloadTooLarge))
                assert str(frame.error)
                assert isinstance(frame.sid, int)
                assert isinstance(frame.rid, int)
            else:
                assert isinstance(frame, msgspec.Struct)
    good = AFTER[id(decoder)]
    assert inbox.receive(encode_batch(good)) == good


@requirement("faults:fuzz-decoders")
@given(message=JSON | NATIVE)
@thorough
def test_a_request_is_read_or_refused(message: str | bytes) -> None:
    with contextlib.suppress(InvalidMessage, UnknownType, InvalidPayload):
        request = openenv_json.read_request(message)
        assert request.kind in openenv_json.KINDS
        assert bytes(request.data).lstrip()[:1] == b"{"
        openenv_json.no_mcp(request.data)


@requirement("faults:fuzz-decoders")
@given(message=JSON | NATIVE)
@thorough
def test_an_answer_is_read_or_refused(message: str | bytes) -> None:
    with contextlib.suppress(InvalidMessage):
        assert isinstance(openenv_json.read_message(message), openenv_json.JsonMessage)


@requirement("faults:fuzz-decoders")
@given(message=NATIVE)
@thorough
def test_an_array_is_split_or_refused(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        parts = split_array(message)
        assert b"".join(parts) in message


@requirement("faults:fuzz-decoders")
@given(
    sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), max_size=30),
    chunk_bytes=st.integers(1, 120),
    at_once=st.integers(1, 10),
)
@thorough
def test_whatever_goes_into_an_outbox_comes_out_of_an_inbox(
    sizes: list[tuple[int, int]], chunk_bytes: int, at_once: int
) -> None:
    """Every frame once, those of one session in their order, whatever is chunked and wherever it is cut."""
    outbox, inbox = Outbox(chunk_bytes), Inbox(CLIENT_SIDE, MOST_BYTES)
    came: list[Any] = []
    frames = [Reply(sid, rid, msgspec.Raw(msgspec.msgpack.encode(b"x" * n))) for rid, (sid, n) in enumerate(sizes)]
    for at, frame in enumerate(frames):
        outbox.put(frame, len(bytes(frame.data)))
        if at % at_once == 0:
            came += inbox.receive(outbox.take())
    while outbox.queued_frames:
        came += inbox.receive(outbox.take())
    assert outbox.queued_bytes == 0
    for sid in range(1, 6):
        assert [f for f in came if f.sid == sid] == [f for f in frames if f.sid == sid]


@requirement("faults:fuzz-decoders")
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
@thorough
def test_chunks_of_anything_are_one_answer_at_most(data: bytes, cuts: list[int]) -> None:
    inbox: Inbox[Any] = Inbox(SERVER_SIDE, MOST_BYTES)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    came = []
    for seq, piece in enumerate(pieces):
        last = seq == len(pieces) - 1
        came += inbox.receive(msgspec.msgpack.encode([[7, 4, 5, seq, last, piece]]))
        assert last or not came
    assert len(came) == 1
    assert isinstance(came[0], (BadFrame, Open, Step, msgspec.Struct))
