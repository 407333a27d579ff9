"""What every provider shares: being a context manager, and waiting until a server is healthy."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import TracebackType

import anyio
import httpx

from openenv_async.errors import ServerNotStarted

POLL_S = 0.05
"""Seconds between two looks at `/health`."""


class BaseProvider(ABC):
    """A source of one server. `async with provider as url:`, or `start()` and `stop()`."""

    def __init__(self) -> None:
        """Prepare for `stop()`; every subclass calls this."""
        self._endings: set[asyncio.Future[None]] = set()

    @abstractmethod
    async def start(self) -> str:
        """Bring up the server and give its URL once it is healthy.

        Raises:
            ServerNotStarted: it could not be brought up; what was begun is undone.
            CancelledError: what was begun is undone.
        """

    @abstractmethod
    async def _end(self) -> None:
        """End the server and free what it used; nothing happens when there is none."""

    async def stop(self) -> None:
        """End the server and free what it used. Safe to repeat, and a cancelled call goes on to its end."""
        ending = asyncio.ensure_future(self._end())
        # Held by the loop's set of waiters only as long as somebody waits; so by the provider too.
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()


async def wait_until_healthy(
    url: str,
    timeout_s: float,
    still_alive: Callable[[], Awaitable[None]],
    headers: dict[str, str] | None = None,
) -> None:
    """Ask `GET /health` until it answers 200.

    Args:
        url: the server's address.
        timeout_s: seconds in all.
        still_alive: called between two looks; raises `ServerNotStarted` when there is no use in waiting on.
        headers: sent with each look.

    Raises:
        ServerNotStarted: no healthy answer in time.
    """
    last = "no answer"
    try:
        async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=5.0, headers=headers) as client:
            while True:
                await still_alive()
                try:
                    answer = await client.get(f"{url}/health")
                    if answer.status_code == 200:
                        return
                    last = f"HTTP {answer.status_code}"
                except httpx.HTTPError as exc:
                    last = str(exc) or type(exc).__name__
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise ServerNotStarted(f"the server at {url} was not healthy within {timeout_s:g} s ({last})") from None


def free_port() -> int:
    """Find a TCP port on the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
