"""The base class of providers, and the wait until a server is healthy."""

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
"""Seconds between two requests to `/health`."""


class BaseProvider(ABC):
    """A source of one server. `async with provider as url:`, or `start()` and `stop()`. For subclasses."""

    def __init__(self) -> None:
        """Prepare for `stop()`; every subclass calls this."""
        self._endings: set[asyncio.Future[None]] = set()

    @abstractmethod
    async def start(self) -> str:
        """Start the server and return its URL once it is healthy.

        Raises:
            ServerNotStarted: it could not be started; nothing is left behind.
            CancelledError: nothing is left behind.
        """

    @abstractmethod
    async def _end(self) -> None:
        """Stop the server and free its resources; nothing happens when there is none."""

    async def stop(self) -> None:
        """Stop the server and free its resources. Safe to repeat; a cancelled call still completes."""
        ending = asyncio.ensure_future(self._end())
        # The loop itself keeps only a weak reference to a task.
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
        still_alive: called before each request; raises `ServerNotStarted` when the server has ended.
        headers: sent with each request.

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
    """Return a TCP port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
