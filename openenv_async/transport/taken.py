"""The server's end of a WebSocket whose socket was taken over from the HTTP server after the handshake.

An HTTP server that can give its socket away offers `TAKE_OVER` among the scope's
extensions; ours does (`server.worker`). Under any other, `asgi` carries the
messages through the ASGI calls, which costs some 60 µs of CPU time more per message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from openenv_async.transport.framed import FramedLink
from openenv_async.transport.incoming import Framing

TAKE_OVER = "openenv.take_over"
"""The extension's name. Its value is a `TakeOver`."""

TakeOver = Callable[[], "TakenLink | None"]
"""To be called in the turn of the loop in which the WebSocket was accepted; None: its socket cannot be had."""


class TakenLink(FramedLink):
    """See `Link`. Tells the protocol that it replaces what that one has to know.

    Args:
        framing: wsproto's connection as the handshake left it.
        most_bytes: see `FramedLink`.
        before: the transport's protocol so far: whoever waits on it must still hear of the end.
    """

    def __init__(self, framing: Framing, most_bytes: int | None, before: asyncio.BaseProtocol) -> None:
        super().__init__(framing, "client", most_bytes)
        self._before = before

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done when the socket is closed."""
        return self._gone

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket has more than it can take."""
        super().pause_writing()
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        super().resume_writing()
        self._before.resume_writing()
