"""Server side of a JSON-wire connection: one session, one reply per request, in order.

Messages are read as they arrive, also during a call, so that a client that leaves is noticed. Replies leave in the
turn of the event loop in which they are ready or, where the socket is full, from the session's task.
`server.json_messages` has the texts of the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any

from openenv_async.errors import ServerClosing, SessionBroken, SessionLost
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.openenv_json import Kind
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.session import Session, Sink
from openenv_async.server.json_messages import JSON_MESSAGES, JsonMessages
from openenv_async.server.server import Server, ServerConnection
from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

LARGE_BYTES = 64 * 1024
"""Size in bytes from which requests count; smaller ones are bounded by their number."""

MAX_QUEUED = 16
"""Messages that may wait for their turn; with more, no further message is read."""

_NO_RESET = (
    "no reset came before this step on this connection, so it was played in a fresh environment; if an episode was "
    "going on, it was lost with the connection before"
)


class JsonConnection(Sink, ServerConnection):
    """One WebSocket and its one session. `await run()` until it ends."""

    wire = "json"

    def __init__(self, server: Server, link: Link, messages: JsonMessages = JSON_MESSAGES) -> None:
        self._server, self._link, self._messages = server, link, messages
        self._traffic = server.traffic["json"]
        self._push = link if isinstance(link, WebSocketLink) else None
        self._saying: set[asyncio.Task[None]] = set()
        self._pausing = False
        self._session: Session | None = None
        self._served = False
        self._refusal: BaseException | None = None
        self._rid = 0
        self._kinds: dict[int, Kind] = {}
        self._began = False
        self._early: set[int] = set()
        """Steps before any reset: OpenEnv's client sends them when it has lost an episode without noticing."""
        self._large: dict[int, int] = {}
        """Bytes of the large requests among them."""
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve the connection until either side ends it; the session ends with it."""
        self._server.connections.add(self)
        self._traffic.connections += 1
        # OpenEnv builds the environment before the first message, and refuses before it too.
        self._open()
        reader = asyncio.get_running_loop().create_task(self._read(), name="openenv json reader")
        try:
            await asyncio.wait([reader, self._stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._server.connections.discard(self)
            if self._session is not None:
                self._session.close()
            reader.cancel()
            await asyncio.wait([reader])
            await self._over.wait()
            if self._refusal is not None:
                await self._say(self._messages.failure(self._refusal))
            # Clients take the close for the release of the slot, so it comes when the slot is free.
            await self._link.aclose()

    async def drain(self, grace_s: float) -> None:
        return  # this wire has no message for it

    async def aclose(self) -> None:
        await self._link.aclose(1001, "the server is stopping")

    def _open(self) -> None:
        self._over.clear()
        self._session = self._server.registry.open(
            self, wait_s=self._server.limits.json_queue_timeout_s, idle_timeout_s=self._messages.idle_timeout_s
        )

    async def _read(self) -> None:
        if self._push is not None:
            self._push.push(self._received, lambda _: self._end())
            await asyncio.wait([self._stop])
            return
        with contextlib.suppress(LinkClosed):
            while not self._stop.done():
                self._received(await self._link.receive())
                while self._is_full():
                    self._room.clear()
                    await self._room.wait()

    def _end(self) -> None:
        if not self._stop.done():
            self._stop.set_result(None)

    def _received(self, message: Message) -> None:
        """Pass one message to the session."""
        kind: Kind = "step"
        answer: Call | Outcome | BaseException
        limits = self._server.limits
        self._traffic.received += len(message)
        try:
            size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
            if size > limits.max_message_bytes:
                raise too_large(size, limits.max_message_bytes)
            request = self._messages.read(message)
            kind = request.kind
            if kind == "close":
                self._end()
                return
            answer = self._messages.call(request, limits)
        except Exception as exc:  # every failure has a frame; a bug of the runtime is logged by `describe`
            answer = exc
            if self._server.metrics is not None:
                self._server.metrics.failed(exc)
        if self._stop.done():
            return
        if self._session is None:
            if kind != "reset" or not isinstance(answer, Call):
                self._tell(self._messages.failure(self._without_session(answer)))
                return
            # The environment was abandoned; on this wire too only a reset may begin again.
            self._open()
        self._submit(kind, answer)

    def _submit(self, kind: Kind, answer: Call | Outcome | BaseException) -> None:
        assert self._session is not None  # `_received` has checked
        self._rid += 1
        self._kinds[self._rid] = kind
        if kind == "reset":
            self._began = True
        elif kind == "step" and not self._began:
            self._early.add(self._rid)
        if isinstance(answer, Call) and len(answer.payload) > LARGE_BYTES:
            self._large[self._rid] = len(answer.payload)
        if self._large or self._saying or self._pausing or len(self._kinds) >= MAX_QUEUED:
            self._hold_if_full()
        if isinstance(answer, Call):
            self._session.submit(self._rid, answer)
        else:
            self._session.answer(self._rid, answer)

    def _without_session(self, answer: Call | Outcome | BaseException) -> BaseException:
        if isinstance(answer, BaseException):
            return answer
        return SessionBroken("the environment hung or crashed and was given up; call reset() for a fresh one")

    def _tell(self, text: str) -> None:
        """Send a message from a task of its own."""
        self._keep(asyncio.ensure_future(self._say(text)))
        self._hold_if_full()

    async def _say(self, text: str) -> None:
        self._traffic.sent += len(text)
        with contextlib.suppress(LinkClosed):
            await self._link.send(text)

    def opened(self, session: Session) -> None:
        self._served = True

    def _is_full(self) -> bool:
        if self._pausing or len(self._kinds) >= MAX_QUEUED or len(self._saying) >= MAX_QUEUED:
            return True
        return len(self._large) > 1 and sum(self._large.values()) > self._server.limits.max_connection_bytes

    def _hold_if_full(self) -> None:
        # Never hold(False) here: that would push what waits within the message that is being handled.
        if self._push is not None and self._is_full():
            self._push.hold(True)

    def _hold_or_not(self) -> None:
        full = self._is_full()
        if not full:
            self._room.set()
        if self._push is not None:
            self._push.hold(full)

    def _pause_for(self, work: Coroutine[Any, Any, None]) -> None:
        """Read no message until `work` is done, so that its answer comes in its turn."""
        self._pausing = True
        if self._push is not None:
            self._push.hold(True)

        async def paused() -> None:
            try:
                await work
            finally:
                self._pausing = False
                self._hold_or_not()

        self._keep(asyncio.ensure_future(paused()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._saying.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._saying.discard(task)
        if len(self._saying) == MAX_QUEUED - 1:
            self._hold_or_not()

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        # The session goes on when its reply has left.
        kind = self._kinds.pop(rid)
        if self._large or len(self._kinds) == MAX_QUEUED - 1:
            self._large.pop(rid, None)
            self._hold_or_not()
        if rid in self._early:
            self._early.discard(rid)
            if isinstance(outcome, Outcome) and self._messages.warns_early:
                outcome = Outcome(outcome.data, (*outcome.warnings, _NO_RESET))
        if isinstance(outcome, BaseException):
            text = self._messages.failure(outcome)
        else:
            text = self._messages.answer(kind, outcome)
        if self._push is not None and self._push.can_send:
            self._traffic.sent += len(text)
            self._push.send_nowait(text)
            return None
        return self._say(text)

    def ended(self, session: Session, error: BaseException | None) -> None:
        self._session = None
        self._over.set()
        waiting, self._kinds = self._kinds, {}
        self._large.clear()
        self._hold_or_not()
        if session.was_broken:
            self._refuse_all(waiting, SessionBroken("the environment hung or crashed and was given up; call reset()"))
        elif waiting and self._served and error is not None and not isinstance(error, ServerClosing):
            # The reset for a new environment has failed.
            self._refuse_all(waiting, error)
            if isinstance(error, SessionLost):
                self._end()
        elif isinstance(error, SessionLost):
            # For clients that read on until their connection ends.
            self._refusal = self._refusal or error
            self._end()
        else:
            untold = self._served and not self._messages.tells_end
            self._refusal = self._refusal or (None if untold else error)
            self._end()

    def _refuse_all(self, waiting: dict[int, Kind], error: BaseException) -> None:
        for _ in waiting:
            self._tell(self._messages.failure(error))
