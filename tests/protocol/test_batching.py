"""Outbox and Inbox as a pair: whatever goes in comes out, whole, in each session's order, and fairly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openenv_async.errors import PayloadTooLarge
from openenv_async.limits import MIB
from openenv_async.protocol.batching import BATCH_FRAMES, CLIENT_SIDE, SERVER_SIDE, BadFrame, Inbox, Outbox
from openenv_async.protocol.frames import (
    AnyFrame,
    Cancel,
    Chunk,
    Close,
    Closed,
    Draining,
    GetState,
    Open,
    Reply,
    ServerFrame,
    Step,
)

CHUNK = 64
ENVELOPE = 64
"""More than a frame of these tests has around its payload."""

TAKE = "take"
Put = tuple[AnyFrame, int]


def payload(size: int) -> msgspec.Raw:
    """A msgpack value of exactly `size` bytes (2 or more)."""
    header = 2 if size < 258 else 3 if size < 65_539 else 5
    return msgspec.Raw(msgspec.msgpack.encode(b"x" * (size - header)))


def step(sid: int, rid: int, size: int) -> Put:
    return Step(sid, rid, payload(size)), size


def reply(sid: int, rid: int, size: int) -> Put:
    return Reply(sid, rid, payload(size)), size


SIZES = st.sampled_from([2, 10, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 7, 1000])
SIDS = st.integers(1, 3)
RIDS = st.integers(1, 9)
FROM_CLIENT: st.SearchStrategy[Put] = st.one_of(
    st.builds(step, SIDS, RIDS, SIZES),
    st.builds(lambda sid, rid: (Cancel(sid, rid), 0), SIDS, RIDS),
    st.builds(lambda sid, rid: (GetState(sid, rid), 0), SIDS, RIDS),
    st.builds(lambda sid: (Close(sid), 0), SIDS),
    st.builds(lambda sid: (Open(sid), 0), SIDS),
)
FROM_SERVER: st.SearchStrategy[Put] = st.one_of(
    st.builds(reply, SIDS, RIDS, SIZES),
    st.builds(lambda sid: (Closed(sid, "X", "y"), 0), SIDS),
    st.just((Draining(1.0), 0)),
)


def travel(moves: list[Put | str], decoder: msgspec.msgpack.Decoder[list[Any]]) -> tuple[list[AnyFrame], list[bytes]]:
    """Put and take as told, then take until all is gone; give what arrived and the messages it came in."""
    outbox, inbox = Outbox(CHUNK), Inbox[Any](decoder, MIB)
    arrived: list[Any] = []
    messages: list[bytes] = []

    def take() -> None:
        messages.append(outbox.take())
        arrived.extend(inbox.receive(messages[-1]))

    for move in moves:
        if not isinstance(move, str):
            outbox.put(*move)
        elif outbox:
            take()
    while outbox.queued_frames:
        take()
    assert outbox.queued_bytes == 0
    return arrived, messages


def by_session(frames: list[AnyFrame]) -> dict[int, list[AnyFrame]]:
    sorted_: dict[int, list[AnyFrame]] = {}
    for frame in frames:
        sorted_.setdefault(getattr(frame, "sid", 0), []).append(frame)
    return sorted_


def check(moves: list[Put | str], decoder: msgspec.msgpack.Decoder[list[Any]]) -> None:
    sent = [move[0] for move in moves if not isinstance(move, str)]
    arrived, messages = travel(moves, decoder)
    assert by_session(arrived) == by_session(sent)
    assert max(map(len, messages), default=0) <= 2 * (CHUNK + ENVELOPE) + 16 * len(sent)


@given(st.lists(st.one_of(FROM_CLIENT, st.just(TAKE)), max_size=40))
@example([step(1, 1, 1000), (Cancel(1, 1), 0)])
@example([step(1, 1, 1000), step(1, 2, 100), (Close(1), 0), step(2, 1, 10)])
@settings(deadline=None)
def test_what_a_client_sends_arrives_whole_and_in_order(moves: list[Put | str]) -> None:
    check(moves, SERVER_SIDE)


@given(st.lists(st.one_of(FROM_SERVER, st.just(TAKE)), max_size=40))
@example([reply(1, 1, 1000), (Closed(1), 0)])
@settings(deadline=None)
def test_what_a_server_sends_arrives_whole_and_in_order(moves: list[Put | str]) -> None:
    check(moves, CLIENT_SIDE)


def test_frames_of_one_turn_leave_in_one_message() -> None:
    outbox = Outbox(1024)
    for sid in range(1, 101):
        outbox.put(*step(sid, 1, 8))
    assert len(Inbox(SERVER_SIDE, MIB).receive(outbox.take())) == 100
    assert not outbox.queued_frames


def test_one_message_holds_a_bounded_number_of_frames_and_bytes() -> None:
    outbox = Outbox(10_000)
    for sid in range(1, 2 * BATCH_FRAMES):
        outbox.put(Open(sid))
    assert len(Inbox(SERVER_SIDE, MIB).receive(outbox.take())) == BATCH_FRAMES
    assert len(Inbox(SERVER_SIDE, MIB).receive(outbox.take())) == BATCH_FRAMES - 1
    for sid in range(1, 101):
        outbox.put(*step(sid, 1, 9_000))
    assert len(outbox.take()) <= 20_000


def test_small_frames_go_between_the_chunks_of_a_large_one() -> None:
    outbox, inbox = Outbox(256 * 1024), Inbox[ServerFrame](CLIENT_SIDE, 16 * MIB)
    outbox.put(*reply(1, 1, 10 * MIB))
    arrived: list[Any] = []
    for rid in range(1, 21):
        outbox.put(*reply(2, rid, 8))
        got = inbox.receive(outbox.take())
        assert [frame.rid for frame in got if isinstance(frame, Reply)] == [rid]
        arrived += got
    while outbox.queued_frames:
        arrived += inbox.receive(outbox.take())
    assert arrived[-1] == reply(1, 1, 10 * MIB)[0]


def test_a_large_frame_does_not_wait_for_a_larger_one() -> None:
    outbox, inbox = Outbox(1000), Inbox[ServerFrame](CLIENT_SIDE, MIB)
    outbox.put(*reply(1, 1, 100_000))
    outbox.put(*reply(2, 1, 3_000))
    first = next(frame for _ in range(200) for frame in inbox.receive(outbox.take()))
    assert first == reply(2, 1, 3_000)[0]
    assert outbox


def test_queued_bytes_are_what_has_not_been_taken() -> None:
    outbox = Outbox(1000)
    outbox.put(*reply(1, 1, 10_000))
    outbox.put(*reply(2, 1, 500))
    assert outbox.queued_bytes == 10_500
    outbox.take()
    assert outbox.queued_bytes <= 10_000 - 900
    while outbox.queued_frames:
        outbox.take()
    assert outbox.queued_bytes == 0


@pytest.mark.parametrize("size", [CHUNK + 1, 1000, 4096])
def test_a_payload_of_exactly_the_limit_arrives(size: int) -> None:
    outbox, inbox = Outbox(CHUNK), Inbox[ServerFrame](CLIENT_SIDE, size)
    outbox.put(*reply(1, 1, size))
    arrived: list[Any] = []
    while outbox.queued_frames:
        arrived += inbox.receive(outbox.take())
    assert arrived == [reply(1, 1, size)[0]]


def test_a_frame_over_the_limit_is_one_error_and_the_rest_of_it_is_passed_over() -> None:
    outbox, inbox = Outbox(1000), Inbox[Any](SERVER_SIDE, 10_000)
    outbox.put(*step(7, 3, 200_000))
    outbox.put(*step(8, 1, 8))
    arrived: list[Any] = []
    while outbox.queued_frames:
        arrived += inbox.receive(outbox.take())
    small, bad = arrived
    assert small == step(8, 1, 8)[0]
    assert isinstance(bad, BadFrame)
    assert (bad.sid, bad.rid) == (7, 3)
    assert isinstance(bad.error, PayloadTooLarge)
    assert bad.error.details["limit"] == 10_000
    assert "10,000" in str(bad.error)
    assert inbox.receive(msgspec.msgpack.encode([Chunk(7, 4, 0, False, b"x")])) == [], "the next request is heard"


def test_a_closed_session_leaves_no_part_of_a_frame_behind() -> None:
    inbox = Inbox[Any](SERVER_SIDE, MIB)
    inbox.receive(msgspec.msgpack.encode([Chunk(1, 1, 0, False, b"x"), Chunk(2, 1, 0, False, b"y")]))
    inbox.forget(1)
    whole = msgspec.msgpack.encode(Open(3))
    got = inbox.receive(msgspec.msgpack.encode([Chunk(1, 1, 1, True, whole)]))
    assert not any(isinstance(frame, Open) for frame in got)
