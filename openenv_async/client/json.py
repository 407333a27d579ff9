"""OpenEnv's JSON wire, client side: a connection per session, replies in the order of the requests.

The wire has no request ids. So every request, also one whose caller has gone, takes
its place in a line, and a reader gives the replies to those places in order: a late
reply is passed over, never taken for the answer to another request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from openenv_async.client.channel import Answer, RequestKind
from openenv_async.errors import EnvError, InvalidMessage, PayloadTooLarge, SessionLost, StepTimeout, from_wire
from openenv_async.protocol.batching import too_large
from openenv_async.protocol.openenv_json import read_message
from openenv_async.transport.link import Link, LinkClosed, Message

CLOSE_WAIT_S = 5.0
"""Seconds that `aclose` waits for the server to close, which is how this wire says that the slot is free."""


class _Error(msgspec.Struct):
    message: str = "Unknown error"
    code: str = "UNKNOWN"


_ERROR = msgspec.json.Decoder(_Error)
_DETAILS = msgspec.json.Decoder(dict[str, Any])


class JsonChannel:
    """One session, one connection. See `Channel`."""

    native = False
    session_id: str | None = None
    retiring = False  # this wire does not say
    traces = False
    request_id: int | None = None
    """How many requests this was on the connection: the server counts them too."""

    def __init__(self, link: Link, timeout_s: float | None, max_message_bytes: int) -> None:
        self.lost: EnvError | None = None
        self.on_resumed: Callable[[], None] | None = None
        """Never called: this wire cannot resume."""
        self._link, self._timeout_s = link, timeout_s
        self._max_message_bytes = max_message_bytes
        self._expected: deque[asyncio.Future[Message]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._reader = self._loop.create_task(self._read(), name="openenv client json reader")

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None, trace: str = "") -> Answer:
        """See `Channel.request`."""
        if self.lost is not None:
            raise self.lost
        if len(payload) > self._max_message_bytes:
            raise too_large(len(payload), self._max_message_bytes)
        data = "" if kind == "state" else ',"data":' + payload.decode()
        limit_s = timeout_s if timeout_s is not None else self._timeout_s
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._send('{"type":"' + kind + '"' + data + "}")
                message = await answer
        except TimeoutError:
            raise StepTimeout(
                f"{kind}(): no answer from the server within {limit_s:g} s; its late answer will be passed over, and "
                "the next call waits for it",
                timeout_s=limit_s,
                session_usable=True,
            ) from None
        return self._understand(kind, message)

    async def _send(self, text: str) -> asyncio.Future[Message]:
        """Send a request and give its place in the line."""
        while self._sending is not None:
            await asyncio.wait([self._sending])
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._expected.append(answer)
        self.request_id = (self.request_id or 0) + 1
        # A task, because a send that is cancelled may have happened or not, and the line would be off by one.
        self._sending = self._loop.create_task(self._send_now(text))
        await asyncio.shield(self._sending)
        return answer

    async def _send_now(self, text: str) -> None:
        try:
            # The reader hears of a broken connection, with what the server said before it broke.
            with contextlib.suppress(LinkClosed):
                await self._link.send(text)
        finally:
            self._sending = None

    async def _read(self) -> None:
        try:
            while True:
                message = await self._link.receive()
                if self._expected:
                    answer = self._expected.popleft()
                    if not answer.done():
                        answer.set_result(message)
                else:
                    self._unasked(message)
        except LinkClosed as exc:
            self._lose(
                SessionLost(
                    f"the connection to the server is gone ({exc.reason}), and the episode with it: a server of this "
                    "kind cannot resume; call reset() for a new session"
                )
            )
        await self._link.aclose()

    def _unasked(self, message: Message) -> None:
        """Take what came without a request: why the server refuses the session, or a server that has lost count."""
        try:
            self._understand("unasked", message)
        except EnvError as exc:
            self._lose(exc)

    def _lose(self, reason: EnvError) -> None:
        self.lost = self.lost or reason
        while self._expected:
            answer = self._expected.popleft()
            if not answer.done():
                answer.set_exception(self.lost)
                # Whoever waited may have been cancelled in this very turn.
                answer.exception()

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
            self._lose(SessionLost(f"{text}; call reset() for a new session"))
            raise self.lost or EnvError(text)
        return Answer(bytes(reply.data), reply.warnings)

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        if self.lost is None:
            answering = bool(self._expected)
            self._lose(SessionLost("the session was closed"))
            if answering:
                # The server would read a close message after that call only; it hears of a lost socket at once.
                self._reader.cancel()
                await self._link.aclose()
                return
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._link.send('{"type":"close"}')
                    await asyncio.wait([self._reader])
        self._reader.cancel()
        await self._link.aclose()

    def abandon(self) -> None:
        """See `Channel.abandon`."""
        self._reader.cancel()
        asyncio.ensure_future(self._link.aclose())


def _error(data: msgspec.Raw) -> EnvError:
    try:
        error, details = _ERROR.decode(data), _DETAILS.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        return InvalidMessage(f"the server's error is not OpenEnv's JSON: {exc}")
    return from_wire(error.code, error.message, {k: v for k, v in details.items() if k not in ("message", "code")})
