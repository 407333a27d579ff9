"""OpenEnv's JSON wire, client side: a connection per session, replies in the order of the requests.

The wire has no request ids. So every request that was sent, also one whose caller has gone, keeps its place in a
line, and replies resolve those places in order: a late reply is passed over, never taken for the answer to another
request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from openenv_async.client.channel import Answer, CallTimer, Channel, RequestKind
from openenv_async.errors import EnvError, InvalidMessage, PayloadTooLarge, SessionLost, StepTimeout, from_wire
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.openenv_json import read_message
from openenv_async.transport.link import Link, LinkClosed, Message
from openenv_async.transport.ws_protocol import WebSocketLink

CLOSE_WAIT_S = 5.0
"""Seconds that `aclose` waits for the server to close, which is how this wire says that the slot is free."""


class _Error(msgspec.Struct):
    message: str = "Unknown error"
    code: str = "UNKNOWN"


_ERROR = msgspec.json.Decoder(_Error)
_DETAILS = msgspec.json.Decoder(dict[str, Any])


class _Pending(NamedTuple):
    """A request and its answer."""

    kind: RequestKind
    text: str
    answer: asyncio.Future[Answer]


class JsonChannel(Channel):
    """One session, one connection."""

    native = False
    session_id: str | None = None
    retiring = False  # this wire does not say
    traces = False
    request_id: int | None = None
    """How many requests this was on the connection: the server counts them too."""
    lost: EnvError | None = None
    on_resumed: Callable[[], None] | None = None
    """Never called: this wire cannot resume."""

    def __init__(self, link: Link, timeout_s: float | None, max_message_bytes: int) -> None:
        self._link, self._timeout_s = link, timeout_s
        self._push = link if isinstance(link, WebSocketLink) else None
        self._max_message_bytes = max_message_bytes
        self._loop = asyncio.get_running_loop()
        self._expected: deque[_Pending] = deque()
        """Sent and not yet answered."""
        self._unsent: deque[_Pending] = deque()
        """Waiting until the link takes more."""
        self._newest: _Pending | None = None
        self._limit_s = 0.0
        self._timer = CallTimer(self._expired)
        self._over = self._loop.create_future()
        """Done when the link has ended."""
        self._sender: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        if self._push is not None:
            self._push.push(self._received, self._ended)
        else:
            self._reader = self._loop.create_task(self._read(), name="openenv client json reader")

    def request(
        self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = ""
    ) -> asyncio.Future[Answer]:
        if self.lost is not None:
            raise self.lost
        if len(payload) > self._max_message_bytes:
            raise too_large(len(payload), self._max_message_bytes)
        data = "" if kind == "state" else ',"data":' + payload.decode()
        text = '{"type":"' + kind + '"' + data + "}"
        self._newest = asked = _Pending(kind, text, self._loop.create_future())
        push = self._push
        if push is not None and push.can_send and self._sender is None:
            self._expected.append(asked)
            self.request_id = (self.request_id or 0) + 1
            push.send_nowait(text)
        else:
            self._send_later(asked)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        if limit_s is not None:
            self._limit_s, self._timer.due = limit_s, self._loop.time() + limit_s
            if self._timer.due < self._timer.fires_at:
                self._timer.arm()
        return asked.answer

    def give_up(self) -> None:
        """See `Channel.give_up`. This wire has no message for it: the late answer is passed over."""
        self._timer.due = math.inf

    def _expired(self) -> None:
        asked = self._newest
        if asked is not None:
            text = f"{asked.kind}(): no answer from the server within {self._limit_s:g} s; its late answer will be "
            text += "passed over, and the next call waits for it"
            _fail(asked.answer, StepTimeout(text, timeout_s=self._limit_s, session_usable=True))

    def _send_later(self, asked: _Pending) -> None:
        # Those given up before they were sent do not take part, and hold no memory.
        self._unsent = deque(one for one in self._unsent if not one.answer.done())
        self._unsent.append(asked)
        if self._sender is None:
            self._sender = self._loop.create_task(self._send_unsent(), name="openenv client json writer")

    async def _send_unsent(self) -> None:
        # Not in the caller's task: a send that is cancelled may have happened or not, and the line would be off by one.
        try:
            while self._unsent:
                asked = self._unsent.popleft()
                if asked.answer.done():
                    continue
                self._expected.append(asked)
                self.request_id = (self.request_id or 0) + 1
                # The reader hears of a broken connection, with what the server said before it broke.
                with contextlib.suppress(LinkClosed):
                    await self._link.send(asked.text)
        finally:
            self._sender = None

    async def _read(self) -> None:
        """Take messages from a link that does not push them."""
        try:
            while True:
                self._received(await self._link.receive())
        except LinkClosed as exc:
            self._ended(exc)

    def _received(self, message: Message) -> None:
        if not self._expected:
            self._unasked(message)
            return
        asked = self._expected.popleft()
        if asked.answer.done():
            return
        self._timer.due = math.inf
        try:
            asked.answer.set_result(self._understand(asked.kind, message))
        except EnvError as exc:
            _fail(asked.answer, exc)

    def _ended(self, closed: LinkClosed) -> None:
        self._lose(
            SessionLost(
                f"the connection to the server is gone ({closed.reason}), and the episode with it: a server of this "
                "kind cannot resume; call reset() for a new session"
            )
        )
        if not self._over.done():
            self._over.set_result(None)
        self._closing = self._loop.create_task(self._link.aclose())

    def _unasked(self, message: Message) -> None:
        """Take what came without a request: why the server refuses the session, or a server that has lost count."""
        try:
            self._understand("unasked", message)
        except EnvError as exc:
            self._lose(exc)

    def _lose(self, reason: EnvError) -> None:
        self.lost = self.lost or reason
        self._timer.stop()
        for asked in (*self._expected, *self._unsent):
            _fail(asked.answer, self.lost)
        self._expected.clear()
        self._unsent.clear()

    def _understand(self, kind: str, message: Message) -> Answer:
        size = len(message)
        if size > self._max_message_bytes:
            raise PayloadTooLarge(
                f"the answer has {size:,} bytes; the limit is {self._max_message_bytes:,} (max_message_size_mb)",
                size=size,
                limit=self._max_message_bytes,
            )
        reply = read_message(message)
        if reply.type == "error":
            raise _error(reply.data)
        if reply.type != ("state" if kind == "state" else "observation") or kind == "unasked":
            what = f"answered {kind}() with" if kind != "unasked" else "sent, unasked,"
            text = f"the server {what} {reply.type!r}, so its answers cannot be told apart any longer"
            lost = SessionLost(f"{text}; call reset() for a new session")
            self._lose(lost)
            raise self.lost or lost
        return Answer(bytes(reply.data), reply.warnings)

    async def aclose(self) -> None:
        if self.lost is None:
            answering = bool(self._expected or self._unsent)
            self._lose(SessionLost("the session was closed"))
            # While a call runs, the server would read a close message only after it; it hears of a lost socket at once.
            if not answering:
                with contextlib.suppress(LinkClosed, TimeoutError):
                    async with asyncio.timeout(CLOSE_WAIT_S):
                        await self._link.send('{"type":"close"}')
                        await asyncio.wait([self._over])
        self._stop()
        await self._link.aclose()

    def abandon(self) -> None:
        self._stop()
        self._closing = self._loop.create_task(self._link.aclose())

    def _stop(self) -> None:
        self._timer.stop()
        for task in (self._reader, self._sender):
            if task is not None:
                task.cancel()


def _fail(answer: asyncio.Future[Answer], error: EnvError) -> None:
    if not answer.done():
        answer.set_exception(error)
        # Its caller may have been cancelled in this very turn, and would not retrieve it.
        answer.exception()


def _error(data: msgspec.Raw) -> EnvError:
    try:
        error, details = _ERROR.decode(data), _DETAILS.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        return InvalidMessage(f"the server's error is not OpenEnv's JSON: {exc}")
    return from_wire(error.code, error.message, {k: v for k, v in details.items() if k not in ("message", "code")})
