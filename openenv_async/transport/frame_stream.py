"""Frames over one link, both ways: slices of what arrives are acted on, what comes of them leaves together.

Both ends of the native wire run on it. It owns the order of things in a turn of the
loop and the bounds; `protocol.batching` knows messages, whoever made it knows frames.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from openenv_async.protocol.batching import BadFrame, Inbox, Outbox, slice_of
from openenv_async.protocol.frames import AnyFrame
from openenv_async.transport.byte_counters import Traffic
from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

MOST_FRAMES_QUEUED = 8192
"""Frames that may wait for a peer that does not read, errors without a payload among them."""

MOST_FRAMES_AHEAD = 4096
"""Frames that may be read and not yet acted on; above it the peer is not read."""

FrameT = TypeVar("FrameT", bound=AnyFrame)


class Flow(Generic[FrameT]):
    """One connection's frames. `put()` them at any time; `await run()` until the link ends.

    Frames that are put in one turn of the loop leave in one message; on a link that
    pushes, the answers to a slice of frames leave in the very turn in which it came.

    Args:
        link: carries the messages.
        inbox: reads them.
        outbox: makes them.
        dispatch: takes each frame as it comes. Must neither raise nor wait.
        sessions: says how many sessions the connection carries, which decides how large a slice is.
        most_queued: bytes that may wait for a peer that does not read; above it the peer is not read either.
        name: whose it is, in the names of its tasks.
        traffic: counts what passes.
    """

    def __init__(
        self,
        link: Link,
        inbox: Inbox[FrameT],
        outbox: Outbox,
        dispatch: Callable[[FrameT | BadFrame], None],
        sessions: Callable[[], int],
        most_queued: int,
        name: str,
        traffic: Traffic | None = None,
    ) -> None:
        self._link, self._inbox, self._outbox = link, inbox, outbox
        self._push = link if isinstance(link, WebSocketLink) else None
        self._dispatch, self._sessions, self._most_queued = dispatch, sessions, most_queued
        self._name = name
        self._traffic = traffic or Traffic()
        self._loop = asyncio.get_running_loop()
        self._frames: deque[FrameT | BadFrame] = deque()
        """Read and not yet acted on."""
        self._acting = False
        self._gathering = False
        self._flushing = False
        self.held = False
        """More is queued than the bound allows; the peer is not read meanwhile."""
        self._waits = False
        self._over: asyncio.Future[LinkClosed] = self._loop.create_future()
        self._ready: asyncio.Future[None] | None = None
        self._sent = asyncio.Event()
        self._writer_gone = False

    def put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Queue a frame; `payload_bytes` is the size of its `data`."""
        self._outbox.put(frame, payload_bytes)
        if not self._gathering and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    async def run(self) -> None:
        """Carry frames until the link ends.

        Raises:
            LinkClosed: it has; its code says how.
        """
        writer = self._loop.create_task(self._write(), name=f"openenv {self._name} writer")
        try:
            if self._push is None:
                await self._read()
            else:
                self._push.push(self._received, self._ended)
                raise await self._over
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def sent(self) -> None:
        """Wait until everything that was put has left, or nothing more can leave."""
        while self._outbox and not self._writer_gone:
            self._sent.clear()
            await self._sent.wait()

    async def room(self) -> None:
        """Wait until less is queued than the bound allows, or nothing more can leave."""
        while self.held and not self._writer_gone:
            self._sent.clear()
            await self._sent.wait()

    def _ended(self, closed: LinkClosed) -> None:
        if not self._over.done():
            self._over.set_result(closed)

    async def _read(self) -> None:
        """Take messages from a link that does not push them."""
        while True:
            self._received(await self._link.receive())
            while self._frames or (self.held and not self._writer_gone):
                self._sent.clear()
                await (self._sent.wait() if self.held else asyncio.sleep(0))

    def _received(self, message: Message) -> None:
        self._traffic.received += len(message)
        self._frames.extend(self._inbox.receive(message))
        if not self._acting:
            self._act()
        if len(self._frames) > MOST_FRAMES_AHEAD:
            self._read_or_not()

    def _act(self) -> None:
        """Act on a slice of what was read, send what came of it, and leave the rest for the next turn."""
        frames, dispatch = self._frames, self._dispatch
        self._acting = self._gathering = True
        for _ in range(min(len(frames), slice_of(self._sessions()))):
            dispatch(frames.popleft())
        self._gathering = False
        self.flush()
        if frames and not self.held:
            self._loop.call_soon(self._act)
        else:
            self._acting = False
        if self._waits:
            self._read_or_not()

    def flush(self) -> None:
        """Send what was put, or wake the writer where that means waiting; by itself this comes at the turn's end."""
        self._flushing = False
        outbox = self._outbox
        if self._push is not None:
            while outbox and self._push.can_send:
                message = outbox.take()
                self._traffic.sent += len(message)
                self._push.send_nowait(message)
            if not outbox:
                self._sent.set()
        if outbox and self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        held = bool(outbox) and self._is_full() and not self._writer_gone
        if held != self.held:
            self._hold(held)

    def _is_full(self) -> bool:
        return self._outbox.queued_bytes > self._most_queued or self._outbox.queued_frames > MOST_FRAMES_QUEUED

    def _read_or_not(self) -> None:
        """Have a link that pushes wait, also while it brings frames faster than they are acted on."""
        waits = self.held or len(self._frames) > MOST_FRAMES_AHEAD
        if self._push is not None and waits != self._waits:
            self._waits = waits
            self._push.hold(waits)

    def _hold(self, held: bool) -> None:
        self.held = held
        self._read_or_not()
        if not held and self._frames and not self._acting:
            self._act()

    async def _write(self) -> None:
        outbox, send = self._outbox, self._link.send
        try:
            while True:
                if outbox:
                    message = outbox.take()
                    self._traffic.sent += len(message)
                    await send(message)
                    if self.held:
                        self.flush()
                    self._sent.set()
                else:
                    self._ready = self._loop.create_future()
                    await self._ready
        except LinkClosed:
            pass
        finally:
            self._writer_gone = True
            self._sent.set()
