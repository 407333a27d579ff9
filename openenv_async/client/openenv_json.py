"""OpenEnv's JSON wire, client side: a connection per session, replies in the order of the requests.

The wire has no request ids. So a reply whose caller has gone is counted, and
passed over when it comes: it is never taken for the answer to a later request.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec

from openenv_async.client.channel import Answer, RequestKind
from openenv_async.errors import EnvError, PayloadTooLarge, SessionLost, StepTimeout, from_wire
from openenv_async.protocol.batches import too_large
from openenv_async.transport.link import Link, LinkClosed, Message

CLOSE_WAIT_S = 5.0
"""Seconds that `aclose` waits for the server to close, which is how this wire says that the slot is free."""


class _Message(msgspec.Struct):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    warnings: tuple[str, ...] = ()


class _Error(msgspec.Struct):
    message: str = "Unknown error"
    code: str = "UNKNOWN"


_MESSAGE = msgspec.json.Decoder(_Message)
_ERROR = msgspec.json.Decoder(_Error)
_DETAILS = msgspec.json.Decoder(dict[str, Any])


class JsonChannel:
    """One session, one connection. See `Channel`."""

    native = False
    session_id: str | None = None

    def __init__(self, link: Link, timeout_s: float | None, max_message_bytes: int) -> None:
        self._link, self._timeout_s = link, timeout_s
        self._max_message_bytes = max_message_bytes
        self._stale = 0
        self._lost: EnvError | None = None

    async def request(self, kind: RequestKind, payload: bytes, timeout_s: float | None) -> Answer:
        """See `Channel.request`."""
        if self._lost is not None:
            raise self._lost
        if len(payload) > self._max_message_bytes:
            raise too_large(len(payload), self._max_message_bytes)
        data = "" if kind == "state" else ',"data":' + payload.decode()
        limit_s = timeout_s if timeout_s is not None else self._timeout_s
        sent = False
        try:
            async with asyncio.timeout(limit_s):
                # A refusal is sent before anything is asked, and may be followed by the close at once.
                with contextlib.suppress(LinkClosed):
                    await self._link.send('{"type":"' + kind + '"' + data + "}")
                sent = True
                message = await self._receive()
        except TimeoutError:
            self._stale += sent
            raise StepTimeout(
                f"{kind}(): no answer from the server within {limit_s:g} s; its late answer will be passed over, and "
                "the next call waits for it",
                timeout_s=limit_s,
                session_usable=True,
            ) from None
        except asyncio.CancelledError:
            self._stale += sent
            raise
        except LinkClosed as exc:
            self._lost = SessionLost(
                f"the connection to the server is gone ({exc.reason}), and the episode with it: a server of this kind "
                "cannot resume; call reset() for a new session"
            )
            raise self._lost from exc
        return self._read(message)

    async def _receive(self) -> Message:
        while self._stale:
            await self._link.receive()
            self._stale -= 1
        return await self._link.receive()

    def _read(self, message: Message) -> Answer:
        size = len(message)
        if size > self._max_message_bytes:
            raise PayloadTooLarge(
                f"the answer has {size:,} bytes; the limit is {self._max_message_bytes:,} (max_message_size_mb)",
                size=size,
                limit=self._max_message_bytes,
            )
        try:
            reply = _MESSAGE.decode(message)
            if reply.type == "error":
                error = _ERROR.decode(reply.data)
                details = _DETAILS.decode(reply.data)
                raise from_wire(error.code, error.message, _without(details, "message", "code"))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
            raise EnvError(f"the server's answer is not OpenEnv's JSON: {exc}") from exc
        return Answer(bytes(reply.data), reply.warnings)

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        if self._lost is None:
            self._lost = SessionLost("the session was closed")
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._link.send('{"type":"close"}')
                    while True:
                        await self._link.receive()
        await self._link.aclose()

    def abandon(self) -> None:
        """See `Channel.abandon`."""
        asyncio.ensure_future(self._link.aclose())


def _without(details: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in details.items() if key not in names}
