"""The greeting on a native connection, and finding the server again after the connection is lost.

Decides when to try again and whether it is the same server. What is sent once the
connection is up again is decided in `native`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from openenv_async.errors import ConnectFailed, SessionLost, Unauthorized
from openenv_async.protocol.batching import CLIENT_SIDE, BadFrame, Inbox
from openenv_async.protocol.frames import RESUME, SUBPROTOCOL, TRACE, Hello, ServerFrame
from openenv_async.transport.link import Link, LinkClosed

logger = logging.getLogger("openenv_async")

Dial = Callable[[], Awaitable[Link]]
"""Connects to the same address again; raises `ConnectFailed` when no server answers."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

LAST_S = 0.02
"""Seconds of a window in which it is too late for another try."""

SHORT_S = 0.25
"""Seconds within which a connection that is lost again counts as a failed attempt."""

SHORT_ONES = 3
"""After so many in a row the next attempt waits: a message that breaks connections breaks every one."""


def pauses(*, at_once: bool = True) -> Iterator[float]:
    """Return the seconds to wait before each attempt: none, then with full jitter out of a range that doubles."""
    yield 0.0 if at_once else random.uniform(0, 2 * FIRST_PAUSE_S)
    most_s = FIRST_PAUSE_S
    while True:
        yield random.uniform(0, most_s)
        most_s = min(LONGEST_PAUSE_S, 2 * most_s)


CHUNK_BYTES = 256 * 1024
"""For a server that does not state it."""


class Terms(NamedTuple):
    """What a server stated in its hello, as far as this client understands it; 0 where it did not."""

    server_id: str
    chunk_bytes: int = CHUNK_BYTES
    max_message_bytes: int = 0
    queue_timeout_s: float = 0.0
    resume_window_s: float = 0.0
    traces: bool = False

    @classmethod
    def of(cls, hello: Hello) -> Terms:
        """Read a hello; values that make no sense are ignored."""

        def number(name: str) -> float:
            value = hello.limits.get(name)
            return value if isinstance(value, (int, float)) and value > 0 else 0

        return cls(
            hello.server_id,
            int(number("chunk_bytes")) or CHUNK_BYTES,
            int(number("max_message_bytes")),
            float(number("queue_timeout_s")),
            float(number("resume_window_s")) if RESUME in hello.features else 0.0,
            TRACE in hello.features,
        )


class Greeted(NamedTuple):
    """A link on which the server's hello has arrived."""

    link: Link
    inbox: Inbox[ServerFrame]
    terms: Terms
    more: list[ServerFrame | BadFrame]
    """What came in the same message."""


async def greet(link: Link, max_message_bytes: int, timeout_s: float) -> Greeted:
    """Read the server's hello.

    Raises:
        ConnectFailed: no hello came, or another frame did; the link is closed.
        CancelledError: the link is closed.
    """
    inbox: Inbox[ServerFrame] = Inbox(CLIENT_SIDE, max_message_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            frames = inbox.receive(await link.receive())
    except BaseException as exc:
        await link.aclose()
        if isinstance(exc, (TimeoutError, LinkClosed)):
            text = f"the server did not say hello: {exc or 'no answer in time'}"
            raise ConnectFailed(text, dropped=isinstance(exc, LinkClosed)) from exc
        raise
    hello = frames[0] if frames else None
    if not isinstance(hello, Hello):
        await link.aclose()
        raise ConnectFailed("the server's first frame was not a hello; is it a newer or another kind of server?")
    return Greeted(link, inbox, Terms.of(hello), frames[1:])


class WayBack:
    """Finds the server of one connection again. `await find(...)` after each loss.

    Args:
        dial: connects to the address.
        connect_timeout_s: seconds that one try may take.
        max_message_bytes: the largest payload to receive.
    """

    def __init__(self, dial: Dial, connect_timeout_s: float, max_message_bytes: int) -> None:
        self._dial = dial
        self._connect_timeout_s = connect_timeout_s
        self._max_message_bytes = max_message_bytes
        self._found_at, self._short_ones = -math.inf, 0

    async def find(self, server_id: str, window_s: float, why: str) -> Greeted:
        """Connect to the server again: at once, then after pauses that grow, with full jitter.

        Args:
            server_id: the server's name; one of another name does not have our sessions.
            window_s: seconds from now in which the server still has them.
            why: how the connection was lost, for the error and the log.

        Raises:
            SessionLost: it was not there in time, or another server was.
            CancelledError: no connection is left behind.
        """
        loop = asyncio.get_running_loop()
        until, failure = loop.time() + window_s, Exception()
        self._short_ones = self._short_ones + 1 if loop.time() - self._found_at < SHORT_S else 0
        logger.info("the connection to the server is gone (%s); trying to resume for %g s", why, window_s)
        for pause_s in pauses(at_once=self._short_ones < SHORT_ONES):
            left_s = until - loop.time()
            if left_s < LAST_S:
                break
            # The last attempts come closer together, to find a server that is back just in time.
            await asyncio.sleep(min(pause_s, left_s / 2))
            try:
                found = await self._try(server_id, min(self._connect_timeout_s, until - loop.time()), why)
                self._found_at = loop.time()
                return found
            except (ConnectFailed, TimeoutError) as exc:
                failure = exc
        raise SessionLost(
            f"the connection to the server is gone ({why}) and did not come back within {window_s:g} s: "
            f"{failure or 'no answer in time'}"
        ) from failure

    async def _try(self, server_id: str, timeout_s: float, why: str) -> Greeted:
        try:
            async with asyncio.timeout(timeout_s):
                link = await self._dial()
                if link.subprotocol != SUBPROTOCOL:
                    await link.aclose()
                    raise SessionLost(f"the connection to the server is gone ({why}); another kind of server is there")
                found = await greet(link, self._max_message_bytes, timeout_s)
        except Unauthorized as exc:
            raise SessionLost(f"the connection to the server is gone ({why}), and it refuses another: {exc}") from exc
        if found.terms.server_id == server_id:
            return found
        await found.link.aclose()
        raise SessionLost(
            f"the connection to the server is gone ({why}), and the episode with it: the server was started anew"
        )


_RUNNING: set[asyncio.Future[Any]] = set()
"""Callbacks that are coroutines; the loop alone would not keep them."""


def tell(callback: Callable[[Any], object], env: object) -> None:
    """Call a client's `on_reconnect`; what it raises is logged, and a coroutine runs by itself."""
    try:
        given = callback(env)
    except Exception:
        logger.exception("on_reconnect of %r failed", env)
        return
    if inspect.isawaitable(given):
        running = asyncio.ensure_future(given)
        _RUNNING.add(running)
        running.add_done_callback(_done)


def _done(running: asyncio.Future[Any]) -> None:
    _RUNNING.discard(running)
    error = None if running.cancelled() else running.exception()
    if error is not None:
        logger.error("on_reconnect failed", exc_info=error)
