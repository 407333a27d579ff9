"""The order of messages where the socket is full: a later one never passes one that waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openenv_async.protocol.batching import SERVER_SIDE, Inbox
from openenv_async.protocol.frames import Cancel
from openenv_async.transport import frame_stream
from openenv_async.transport.frame_stream import FrameStream


class FullLink:
    """A link that pushes, and whose socket is full until `room()`."""

    def __init__(self) -> None:
        self.can_send = False
        self.sent: list[bytes] = []
        self._writable = asyncio.get_running_loop().create_future()

    def push(self, take: Any, ended: Any) -> None:
        pass

    def send_nowait(self, message: bytes) -> None:
        self.sent.append(message)

    async def send(self, message: bytes) -> None:
        await asyncio.shield(self._writable)
        self.sent.append(message)

    def room(self) -> None:
        self.can_send = True
        self._writable.set_result(None)


async def test_nothing_passes_a_message_that_waits_for_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stream, "WebSocketLink", FullLink)
    link = FullLink()
    inbox = Inbox(SERVER_SIDE, 1000)
    stream = FrameStream(link, inbox, 1000, lambda _: None, lambda: 1, 1000, "test")  # type: ignore[arg-type]
    running = asyncio.ensure_future(stream.run())
    stream.put(Cancel(1, 1))
    await asyncio.sleep(0.01)  # the writer has taken it
    link.room()
    stream.put(Cancel(1, 2))
    stream.flush()  # in the turn in which there is room again, before the writer goes on
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert [inbox.receive(message) for message in link.sent] == [[Cancel(1, 1)], [Cancel(1, 2)]]
