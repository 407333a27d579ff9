"""The native wire's client side: one connection that carries the sessions of many clients.

One task reads, one writes; a request is a future that the reader resolves. Frames
that become ready in one turn of the loop leave in one message.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from openenv_async.client.channel import Answer
from openenv_async.client.native_channel import NativeChannel
from openenv_async.errors import ConnectFailed, EnvError, SessionBroken, SessionLost, from_wire
from openenv_async.protocol.batches import CLIENT_SIDE, BadFrame, Inbox, Outbox, slice_of, too_large
from openenv_async.protocol.frames import (
    AnyFrame,
    Close,
    Closed,
    Failure,
    Hello,
    Open,
    Opened,
    Reply,
    ServerFrame,
)
from openenv_async.transport.link import Link, LinkClosed

CLOSE_WAIT_S = 5.0
"""Seconds that `aclose` waits for what is queued to leave."""


class NativeConnection:
    """A WebSocket shared by every client of one event loop that has the same server and headers."""

    def __init__(self, link: Link, max_message_bytes: int, on_idle: Callable[[NativeConnection], None]) -> None:
        self._link, self._on_idle = link, on_idle
        self._inbox: Inbox[ServerFrame] = Inbox(CLIENT_SIDE, max_message_bytes)
        self._outbox = Outbox(256 * 1024)
        self._channels: dict[int, NativeChannel] = {}
        self._sid = 0
        self._ready: asyncio.Future[None] | None = None
        self._sending = False
        self._look_s = math.inf
        self._looker: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.lost: SessionLost | None = None
        self.max_message_bytes = max_message_bytes
        self._most_received = max_message_bytes
        self.open_wait_s = 0.0

    async def start(self, timeout_s: float) -> None:
        """Read the server's hello and start the two tasks.

        Raises:
            ConnectFailed: the server said nothing, or something else.
        """
        try:
            async with asyncio.timeout(timeout_s):
                frames = self._inbox.receive(await self._link.receive())
        except (TimeoutError, LinkClosed) as exc:
            await self._link.aclose()
            raise ConnectFailed(f"the server did not say hello: {exc or 'no answer in time'}") from exc
        hello = frames[0] if frames else None
        if not isinstance(hello, Hello):
            await self._link.aclose()
            raise ConnectFailed("the server's first frame was no hello; is it a newer or another kind of server?")
        self._obey(hello.limits)
        for frame in frames[1:]:
            self._dispatch(frame)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._read(), name="openenv client reader"),
            loop.create_task(self._write(), name="openenv client writer"),
        ]

    def _obey(self, limits: dict[str, Any]) -> None:
        chunk, most, wait = limits.get("chunk_bytes"), limits.get("max_message_bytes"), limits.get("queue_timeout_s")
        if isinstance(chunk, int) and chunk > 0:
            self._outbox = Outbox(chunk)
        if isinstance(most, int) and most > 0:
            self.max_message_bytes = min(self.max_message_bytes, most)
        if isinstance(wait, (int, float)):
            self.open_wait_s = float(wait)

    async def open(self, timeout_s: float | None, queue_timeout_s: float | None = None) -> NativeChannel:
        """Open a session.

        Args:
            timeout_s: seconds to wait for the server's answer once it has a slot; None: for ever.
            queue_timeout_s: seconds to wait for a slot; None: as long as the server allows.

        Raises:
            EnvError: no slot, or the environment could not be built.
            SessionLost: the connection broke meanwhile.
        """
        self._sid += 1
        channel = NativeChannel(self, self._sid, timeout_s)
        if timeout_s is not None:
            self._look_every(timeout_s / 10)
        self._channels[channel.sid] = channel
        self.put(Open(channel.sid, queue_timeout_s))
        try:
            await channel.opening(None if timeout_s is None else timeout_s + self.open_wait_s)
        except BaseException:
            if channel.sid in self._channels:
                self.put(Close(channel.sid))
                self.forget(channel)
            raise
        return channel

    @property
    def idle(self) -> bool:
        """No session is left on it."""
        return not self._channels

    def put(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Queue a frame to leave with the others of this turn."""
        self._outbox.put(frame, payload_bytes)
        self._wake_writer()

    def _wake_writer(self) -> None:
        ready = self._ready
        if ready is not None and not ready.done():
            ready.set_result(None)

    async def ask(self, frame: AnyFrame, payload_bytes: int = 0) -> None:
        """Send a request: with those of the other sessions or, when there are none, at once."""
        if self.crowded or self._sending or self._outbox:
            self.put(frame, payload_bytes)
            return
        self._outbox.put(frame, payload_bytes)
        self._sending = True
        try:
            # This frame alone, or its first piece: a cancelled send must not take another session's with it.
            await self._link.send(self._outbox.take())
        except LinkClosed:
            pass  # the reader hears of it and tells every session
        finally:
            self._sending = False
            if self._outbox:
                self._wake_writer()

    @property
    def crowded(self) -> bool:
        """Other sessions have calls to send too, so that it pays to wait for them."""
        return len(self._channels) > 1

    def _look_every(self, interval_s: float) -> None:
        """Look for calls that have waited for too long, at least this often and at least every second."""
        if interval_s < self._look_s:
            self._look_s = min(1.0, interval_s)
            if self._looker is not None:
                self._looker.cancel()
            self._look()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for channel in list(self._channels.values()):
            channel.look(now)
        self._looker = None if self.lost is not None else loop.call_later(self._look_s, self._look)

    def forget(self, channel: NativeChannel) -> None:
        """A session has ended; the last one ends the connection."""
        if self._channels.pop(channel.sid, None) is not None and not self._channels:
            self._on_idle(self)

    async def aclose(self) -> None:
        """Send what is queued and close the socket."""
        self._lose(SessionLost("the connection was closed"))
        reader, writer = self._tasks
        reader.cancel()
        try:
            await asyncio.wait([writer], timeout=CLOSE_WAIT_S)
        finally:
            # Also when the loop ends and cancels this: the socket must not outlive it.
            writer.cancel()
            await self._link.aclose()

    async def _read(self) -> None:
        receive, read, dispatch = self._link.receive, self._inbox.receive, self._dispatch
        try:
            while True:
                frames = read(await receive())
                most_at_once = slice_of(len(self._channels))
                for at, frame in enumerate(frames, 1):
                    dispatch(frame)
                    if at % most_at_once == 0:
                        await asyncio.sleep(0)
        except LinkClosed as exc:
            self._lose(SessionLost(f"the connection to the server is gone ({exc.reason}), and the episode with it"))
            await self._link.aclose()

    async def _write(self) -> None:
        outbox, send = self._outbox, self._link.send
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not outbox or self._sending:
                    if self.lost is not None:
                        return
                    self._ready = loop.create_future()
                    await self._ready
                    continue
                self._sending = True
                await send(outbox.take())
                self._sending = False
        except LinkClosed:
            pass

    def _lose(self, reason: SessionLost) -> None:
        if self.lost is None:
            self.lost = reason
        if self._looker is not None:
            self._looker.cancel()
        for channel in list(self._channels.values()):
            channel.end(SessionLost(reason.message + "; call reset() for a new session"))
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _dispatch(self, frame: ServerFrame | BadFrame) -> None:
        if isinstance(frame, Reply):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.resolve(frame.rid, self._answer(frame))
        elif isinstance(frame, Failure):
            self._failed(frame.sid, frame.rid, from_wire(frame.code, frame.message, frame.details))
        elif isinstance(frame, Opened):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                channel.session_id = frame.session_id
                channel.resolve(0, Answer(b""))
        elif isinstance(frame, Closed):
            channel = self._channels.get(frame.sid)
            if channel is not None:
                text = f"{frame.message or 'the server closed the session'}; call reset() for a new session"
                channel.end(SessionBroken(text) if frame.code == SessionBroken.code else SessionLost(text))
        elif isinstance(frame, BadFrame):
            self._failed(frame.sid, frame.rid, frame.error)

    def _answer(self, frame: Reply) -> Answer | EnvError:
        data = bytes(frame.data)
        if len(data) > self._most_received:
            return too_large(len(data), self._most_received)
        return Answer(data, tuple(frame.warnings))

    def _failed(self, sid: int, rid: int, error: EnvError) -> None:
        channel = self._channels.get(sid)
        if channel is not None:
            channel.resolve(rid, error)
