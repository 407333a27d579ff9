"""The native wire under anything: one answer for each request, and no session pays for another's messages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from conftest import TEST_ALL
from fuzz_inputs import NATIVE
from fuzz_world import Witnesses, bugs, fuzzed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import requirement
from support.raw_clients import RawNative, raw_native
from support.servers import bounded

from openenv_async.limits import MIB
from openenv_async.protocol.batching import SERVER_SIDE, BadFrame, Inbox
from openenv_async.protocol.frames import (
    Ack,
    Cancel,
    ClientFrame,
    Close,
    Closed,
    Failure,
    GetState,
    Open,
    Opened,
    Reply,
    Reset,
    Resumed,
    Step,
)

pytestmark = pytest.mark.slow

THEIRS = range(1, 7)
"""Sessions that are open before anything is sent, for the messages to hit."""

MINE, LAST = 7, 2**40
"""Sessions on the same connection that no message may name: one from the beginning, one to see the end by."""

Answers = Counter[tuple[int, int]]


class Expected:
    """What a server owes for the messages sent: read as it reads them, for `Inbox` has tests of its own."""

    def __init__(self) -> None:
        self._inbox: Inbox[Any] = Inbox(SERVER_SIDE, MIB)
        self._ending: set[int] = set()
        """Sessions that may end by themselves: closed, or with a call whose deadline may pass in a thread."""
        self._least: Answers = Counter()
        self.most: Answers = Counter()

    def send(self, message: bytes) -> bool:
        """Take one message; False when it would touch the session that must not be."""
        frames = self._inbox.receive(message)
        if any(getattr(frame, "sid", 0) in (MINE, LAST) for frame in frames):
            return False
        for frame in frames:
            self._count(frame)
        for frame in frames:
            # A session that is closed takes the pieces with it that have come for it, those behind the close too.
            if isinstance(frame, Close):
                self._inbox.forget(frame.sid)
        return True

    @property
    def least(self) -> Answers:
        """What must be answered: every opening by itself, a request that is repeated at least once.

        What is in flight when its session ends is answered by the end, if nothing else.
        """
        return Answers(
            {
                (sid, rid): 1 if rid or sid in self._ending else self.most[sid, rid]
                for sid, rid in self._least
                if sid not in self._ending or not rid
            }
        )

    def _count(self, frame: ClientFrame | BadFrame) -> None:
        if isinstance(frame, (Reset, Step, GetState, BadFrame)):
            self._owe(frame.sid, frame.rid)
            if not isinstance(frame, BadFrame) and frame.timeout_s is not None:
                self._ending.add(frame.sid)
                self.most[frame.sid, 0] += 1
        elif isinstance(frame, Cancel):
            self._least.pop((frame.sid, frame.rid), None)
        elif not isinstance(frame, Ack):
            self._owe(frame.sid, 0)
            if isinstance(frame, Close):
                self._ending.add(frame.sid)

    def _owe(self, sid: int, rid: int) -> None:
        self.most[sid, rid] += 1
        self._least[sid, rid] = 1


def key_of(frame: Any) -> tuple[int, int]:
    if isinstance(frame, (Reply, Failure)):
        return frame.sid, frame.rid
    assert isinstance(frame, (Opened, Resumed, Closed)), frame
    return frame.sid, 0


async def _play(url: str, witnesses: Witnesses, messages: list[bytes]) -> None:
    expected, came = Expected(), Answers()
    async with raw_native(url) as client:
        await client.send(*(Open(sid) for sid in (*THEIRS[1:], MINE)))
        for _ in THEIRS:
            assert isinstance(await client.hear(), Opened)
        await client.reset(MINE)
        for message in messages:
            if expected.send(message):
                await bounded(client.socket.send(message))
        while expected.least - came:  # Counter subtraction keeps what is still owed
            came[key_of(await client.hear())] += 1
        await _nothing_more(client, came)
        for total in (1, 2):
            assert await _total(client, came) == total
        for key, count in came.items():
            assert count <= expected.most[key], (key, count, expected.most)
    await witnesses.go_on()


async def _nothing_more(client: RawNative, came: Answers) -> None:
    """Take what else there is, up to the answer to a request that nobody else can have made."""
    await client.send(Open(LAST))
    while (key := key_of(await client.hear())) != (LAST, 0):
        came[key] += 1


async def _total(client: RawNative, came: Answers) -> int:
    """Step the session of our own. A session that took its time to open may be heard of before the answer."""
    rid = client.next_rid(MINE)
    await client.send(Step(MINE, rid, msgspec.Raw(client.encode({"n": 1}))))
    while key_of(frame := await client.hear()) != (MINE, rid):
        came[key_of(frame)] += 1
    return client.read(frame).total  # of the session of our own alone


@requirement("faults:fuzz-native")
def test_every_request_gets_its_answer_and_no_session_ends_for_another(caplog: pytest.LogCaptureFixture) -> None:
    with fuzzed() as run:

        @given(messages=st.lists(NATIVE, min_size=1, max_size=6))
        @settings(deadline=None, max_examples=400 if TEST_ALL else 80, suppress_health_check=list(HealthCheck))
        def example(messages: list[bytes]) -> None:
            run(lambda url, witnesses: bounded(_play(url, witnesses, messages)))

        example()
    assert bugs(caplog) == []
