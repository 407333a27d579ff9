"""A connection of OpenEnv's JSON wire: one session, text messages, one reply per request in order.

One task reads, so that a client that leaves is noticed while its environment
works; one answers. `protocol.openenv` knows the messages.
"""

from __future__ import annotations

import asyncio
import contextlib

from openenv_async.errors import EnvError, SessionBroken
from openenv_async.protocol.batches import too_large
from openenv_async.protocol.failures import describe
from openenv_async.protocol.openenv import Request, failure, no_mcp, read_request, reply
from openenv_async.runtime.calls import Call, Outcome, Wire
from openenv_async.runtime.direct import DirectSession, open_direct
from openenv_async.server.core import Server
from openenv_async.transport.link import Link, LinkClosed, Message

MAX_QUEUED = 16
"""Messages that may wait for their turn; the client is not read any further meanwhile."""


class JsonConnection:
    """One WebSocket and its one session. `await run()` until it ends."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server, self._link = server, link
        self._session: DirectSession | None = None
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(MAX_QUEUED)
        self._gone = False

    async def run(self) -> None:
        """Serve the connection until either side ends it; the session ends with it."""
        self._server.connections.add(self)
        reader = asyncio.get_running_loop().create_task(self._read(), name="openenv json reader")
        try:
            # OpenEnv builds the environment before the first message, and refuses before it too.
            self._session = await open_direct(self._server.registry)
            await self._answer_all()
        except EnvError as exc:
            with contextlib.suppress(LinkClosed):
                await self._link.send(failure(describe(exc)))
        except LinkClosed:
            pass
        finally:
            self._server.connections.discard(self)
            reader.cancel()
            if self._session is not None:
                await self._session.aclose()
            await asyncio.wait([reader])
            # Clients take the close for the release of the slot: it comes when the slot is free.
            await self._link.aclose()

    async def drain(self, grace_s: float) -> None:
        """See `Connection.drain`. This wire has no message for it."""

    async def aclose(self) -> None:
        """See `Connection.aclose`."""
        await self._link.aclose(1001, "the server is stopping")

    async def _read(self) -> None:
        try:
            while True:
                await self._messages.put(await self._link.receive())
        except LinkClosed:
            self._gone = True
            if self._session is not None and self._session.session is not None:
                self._session.session.close()
            # The queue may be full; whoever takes the last message sees that the client has gone.
            if not self._messages.full():
                self._messages.put_nowait(None)

    async def _answer_all(self) -> None:
        while not self._gone:
            message = await self._messages.get()
            if message is None:
                return
            try:
                request = self._understand(message)
                if request.kind == "close":
                    return
                text = await self._answer(request)
            except Exception as exc:  # every failure has a frame; a bug of ours is logged on its way
                text = failure(describe(exc))
            await self._link.send(text)

    def _understand(self, message: Message) -> Request:
        limit = self._server.limits.max_message_bytes
        size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        if size > limit:
            raise too_large(size, limit)
        return read_request(message)

    async def _answer(self, request: Request) -> str:
        if request.kind == "mcp":
            return reply("mcp", no_mcp(request.data))
        if request.kind == "state":
            outcome = await self._call(Call("state", b"", Wire.JSON, self._server.limits.state_timeout_s))
            return reply("state", outcome.data)
        if request.kind == "step":
            return _observation(await self._call(Call("step", request.data, Wire.JSON)))
        if self._session is not None and self._session.over.done():
            self._session = await open_direct(self._server.registry)
        return _observation(await self._call(Call("reset", request.data, Wire.JSON)))

    async def _call(self, call: Call) -> Outcome:
        session = self._session
        if session is None or session.over.done():
            raise SessionBroken("the environment hung and was given up; call reset() for a fresh one")
        return await session.call(call)


def _observation(outcome: Outcome) -> str:
    return reply("observation", outcome.data, outcome.warnings)
