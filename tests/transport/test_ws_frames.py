"""Plain WebSocket frames are read and written as wsproto would, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from openenv_async.transport.link import Message
from openenv_async.transport.ws_frames import MessageReader, Received, TooBig, write_frame

SIZES = st.sampled_from([0, 1, 125, 126, 127, 4096, 4097, 65535, 65536, 70000])


@st.composite
def messages(draw: st.DrawFn) -> Message:
    size = draw(SIZES)
    return "é" * (size // 2) if draw(st.booleans()) else bytes(range(256)) * (size // 256) + b"x" * (size % 256)


EVENTS = st.one_of(
    messages().map(lambda message: (message, True)),
    messages().map(lambda message: (message, False)),
    st.binary(max_size=125).map(lambda payload: (Ping(payload=payload), True)),
)


def events_of(message: Message, *, whole: bool) -> list[Event]:
    """A message as one frame, or in pieces with a ping between them."""
    if isinstance(message, bytes):
        if whole:
            return [BytesMessage(data=message)]
        middle = len(message) // 2
        first = BytesMessage(data=message[:middle], message_finished=False)
        return [first, Ping(payload=b"p"), BytesMessage(data=message[middle:])]
    if whole:
        return [TextMessage(data=message)]
    middle = len(message) // 2
    return [TextMessage(data=message[:middle], message_finished=False), TextMessage(data=message[middle:])]


def read_all(masked: bool, wire: bytes, cuts: list[int]) -> list[Received]:
    kind = ConnectionType.SERVER if masked else ConnectionType.CLIENT
    incoming = MessageReader(Connection(kind), masked=masked)
    places = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [item for start, end in pairwise(places) for item in incoming.read(wire[start:end])]


@given(
    st.lists(EVENTS, max_size=8),
    st.lists(st.integers(0, 1 << 20), max_size=12),
    st.booleans(),
)
def test_what_is_read_does_not_depend_on_where_the_bytes_were_cut(
    sent: list[tuple[Message | Ping, bool]], cuts: list[int], masked: bool
) -> None:
    peer = Connection(ConnectionType.CLIENT if masked else ConnectionType.SERVER)
    wire, wanted = bytearray(), list[Message | Event]()
    for what, whole in sent:
        events: list[Event] = [what] if isinstance(what, Ping) else events_of(what, whole=whole)
        for event in events:
            wire += peer.send(event)
        wanted += [event for event in events if isinstance(event, Ping)]
        wanted += [] if isinstance(what, Ping) else [what]
    assert read_all(masked, bytes(wire), cuts) == wanted


@given(st.lists(messages(), min_size=1, max_size=4), st.booleans())
def test_wsproto_reads_what_is_written(sent: list[Message], masked: bool) -> None:
    mine = Connection(ConnectionType.CLIENT if masked else ConnectionType.SERVER)
    peer = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    got = list[Message]()
    for message in sent:
        event = BytesMessage(data=message) if isinstance(message, bytes) else TextMessage(data=message)
        frame = write_frame(message, masked=masked)
        # What is left to wsproto goes between what is not, as on a link.
        peer.receive_data(mine.send(event) if frame is None else frame)
        parts = [part.data for part in peer.events() if isinstance(part, (BytesMessage, TextMessage))]
        got.append((b"" if isinstance(message, bytes) else "").join(parts))  # type: ignore[arg-type]
    assert got == sent


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"\x82\x02ab", "an unmasked frame to a server"),
        (b"\xc2\x80\0\0\0\0", "a reserved bit"),
        (b"\x83\x80\0\0\0\0", "a reserved kind of frame"),
        (b"\x80\x80\0\0\0\0", "a piece of nothing"),
        (b"\x82\xfe\0\x01\0\0\0\0a", "a length that is longer than it need be"),
        (b"\x81\x82\0\0\0\0\xff\xff", "a text that is no UTF-8"),
        (b"\x02\x80\0\0\0\0\x82\x80\0\0\0\0", "a message inside another"),
        (b"\x83\xff", "a head that is wrong before it is whole"),
    ],
)
def test_wsproto_judges_what_is_malformed(wire: bytes, why: str) -> None:
    alone = Connection(ConnectionType.SERVER)
    alone.receive_data(wire)
    verdict = list(alone.events())[-1]
    assert isinstance(verdict, CloseConnection)
    assert read_all(True, wire, []) == [verdict]
    assert read_all(True, wire, list(range(len(wire)))) == [verdict]


def test_a_close_is_wsprotos() -> None:
    close = Connection(ConnectionType.CLIENT).send(CloseConnection(code=1000))
    assert [type(item) for item in read_all(True, bytes(close), [1])] == [CloseConnection]


@pytest.mark.parametrize("whole", [True, False])
def test_a_message_over_the_limit_is_not_given(whole: bool) -> None:
    incoming = MessageReader(Connection(ConnectionType.SERVER), masked=True, most_bytes=100)
    peer = Connection(ConnectionType.CLIENT)
    sent = [event for event in events_of(b"x" * 101, whole=whole) if not isinstance(event, Ping)]
    got = [item for event in sent for item in incoming.read(bytes(peer.send(event)))]
    assert got == [TooBig(100)]
