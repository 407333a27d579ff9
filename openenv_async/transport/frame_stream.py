"""The frames of one connection of the native wire, both ways, over one link. Both ends run on it.

It decides in which turn of the event loop frames are handled and sent, and bounds what waits.
`protocol.batching` turns frames into messages; client and server give them their meaning.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from openenv_async.protocol.batching import BadFrame, Inbox, Outbox, slice_of
from openenv_async.protocol.frames import AnyFrame
from openenv_async.transport.byte_counters import Traffic
from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

MOST_FRAMES_QUEUED = 8192
"""Frames that may wait for a peer that does not read, errors without a payload among them."""

MOST_FRAMES_AHEAD = 4096
"""Frames that may be read and not yet handled; above it the peer is not read."""

FrameT = TypeVar("FrameT", bound=AnyFrame)


class FrameStream(Generic[FrameT]):
    """One connection's frames. `put()` them at any time; `await run()` until the link ends.

    Frames that are put in one turn of the loop leave in one message; on a link that pushes, the answers
    to a slice of frames leave in the very turn in which the slice came.

    Args:
        link: carries the messages.
        inbox: turns messages into frames.
        chunk_bytes: see `Outbox`.
        dispatch: called with each frame as it comes. Must neither raise nor wait.
        sessions: returns how many sessions the connection carries, which decides how large a slice is.
        most_queued: bytes that may wait for a peer that does not read; above it the peer is not read either.
        name: the end's, in the names of its tasks.
        traffic: counts the bytes.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox[FrameT],
        chunk_bytes: int,
        dispatch: Callable[[FrameT | BadFrame], None],
        sessions: Callable[[], int],
        most_queued: int,
        name: str,
        traffic: Traffic | None = None,
    ) -> None:
        self._link, self._inbox = link, inbox
        self._push = link if isinstance(link, WebSocketLink) else None
        self._dispatch, self._sessions, self._most_queued = dispatch, sessions, most_queued
        self._name = name
        self._traffic = traffic or Traffic()
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(chunk_bytes, partial(self._loop.call_soon, self.flush))
        self.put = self._outbox.put
        self._frames: deque[FrameT | BadFrame] = deque()
        """Read and not yet handled."""
        self._handling = False
        self.held = False
        """More is queued than the bound allows; the peer is not read meanwhile."""
        self._waits = False
        """The link has been told to push nothing."""
        self._over: asyncio.Future[LinkClosed] = self._loop.create_future()
        self._writer_wakes: asyncio.Future[None] | None = None
        self._writer_sends = False
        """The writer has taken a message and waits until the socket takes it."""
        self._writer_gone = False
        self._moved: asyncio.Future[None] | None = None
        """Done when something has left, where that is waited for."""

    async def run(self) -> None:
        """Carry frames until the link ends.

        Raises:
            LinkClosed: it has; its code says how.
        """
        writer = self._loop.create_task(self._write(), name=f"openenv {self._name} writer")
        try:
            if self._push is not None:
                self._push.push(self._received, self._ended)
                raise await self._over
            while True:
                self._received(await self._link.receive())
                while self._frames or (self.held and not self._writer_gone):
                    await (self._something_leaves() if self.held else asyncio.sleep(0))
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def sent(self) -> None:
        """Wait until everything that was put has left, or nothing more can leave."""
        while self._outbox.queued_frames and not self._writer_gone:
            await self._something_leaves()

    async def room(self) -> None:
        """Wait until less is queued than the bound allows, or nothing more can leave."""
        while self.held and not self._writer_gone:
            await self._something_leaves()

    async def _something_leaves(self) -> None:
        if self._moved is None:
            self._moved = self._loop.create_future()
        # Shielded: others may wait for the same.
        await asyncio.shield(self._moved)

    def _note_moved(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set_result(None)

    def _ended(self, closed: LinkClosed) -> None:
        if not self._over.done():
            self._over.set_result(closed)

    def _received(self, message: Message) -> None:
        self._traffic.received += len(message)
        self._frames.extend(self._inbox.receive(message))
        if not self._handling:
            self._handle()
        if len(self._frames) > MOST_FRAMES_AHEAD:
            self._read_or_not()

    def _handle(self) -> None:
        """Handle a slice of what was read, send what came of it, and leave the rest for the next turn."""
        frames, dispatch, outbox = self._frames, self._dispatch, self._outbox
        self._handling, outbox.wakes = True, False
        count = len(frames)
        for _ in range(count if count < 2 else min(count, slice_of(self._sessions()))):
            dispatch(frames.popleft())
        outbox.wakes = True
        if outbox.queued_frames or self.held:
            self.flush()
        if frames and not self.held:
            self._loop.call_soon(self._handle)
        else:
            self._handling = False
        if self._waits:
            self._read_or_not()

    def flush(self) -> None:
        """Send what was put, or wake the writer where that means waiting. By itself this comes at the turn's end."""
        outbox, push = self._outbox, self._push
        outbox.wakes = True
        # Not past a message that the writer waits to send: the pieces of a large frame must arrive in order.
        if push is not None and not self._writer_sends:
            while outbox.queued_frames and push.can_send:
                message = outbox.take()
                self._traffic.sent += len(message)
                push.send_nowait(message)
        if outbox.queued_frames:
            if self._writer_wakes is not None and not self._writer_wakes.done():
                self._writer_wakes.set_result(None)
        elif self._moved is not None:
            self._note_moved()
        full = outbox.queued_bytes > self._most_queued or outbox.queued_frames > MOST_FRAMES_QUEUED
        held = full and not self._writer_gone
        if held != self.held:
            self._hold(held)

    def _read_or_not(self) -> None:
        """Have a link that pushes wait, also while it brings frames faster than they are handled."""
        waits = self.held or len(self._frames) > MOST_FRAMES_AHEAD
        if self._push is not None and waits != self._waits:
            self._waits = waits
            self._push.hold(waits)

    def _hold(self, held: bool) -> None:
        self.held = held
        self._read_or_not()
        if not held and self._frames and not self._handling:
            self._handle()

    async def _write(self) -> None:
        """Send what must wait for the socket."""
        outbox, send = self._outbox, self._link.send
        try:
            while True:
                if outbox.queued_frames:
                    message = outbox.take()
                    self._traffic.sent += len(message)
                    self._writer_sends = True
                    await send(message)
                    self._writer_sends = False
                    if self.held:
                        self.flush()
                    self._note_moved()
                else:
                    self._writer_wakes = self._loop.create_future()
                    await self._writer_wakes
        except LinkClosed:
            pass
        finally:
            self._writer_gone = True
            self._note_moved()
