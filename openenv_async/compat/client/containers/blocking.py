"""What OpenEnv's providers share: ours, which are awaited, started and stopped by calls that block.

A server that was started is stopped when the interpreter exits before its owner did.
What the providers are called is `providers`' and `uv_provider`'s matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_async.compat.client.sync_async import run_blocking
from openenv_async.errors import ServerNotStarted
from openenv_sync import process
from openenv_sync.loop import OWNER_EXIT_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openenv_async.providers.base import BaseProvider


class NotReady(RuntimeError, TimeoutError):
    """A server could not be started, or was not healthy in time: OpenEnv's providers raise the one or the other."""


class AtExit:
    """Stops a provider when the interpreter exits before its owner did."""

    def __init__(self, provider: BaseProvider) -> None:
        self._provider = provider

    async def close(self) -> None:
        """Stop it."""
        await self._provider.stop()


_kept: dict[int, AtExit] = {}


def keep(provider: BaseProvider) -> None:
    """Have a provider stopped when the interpreter exits, unless it is forgotten before."""
    _kept[id(provider)] = ending = AtExit(provider)
    process.portal().hold(ending, OWNER_EXIT_GRACE_S)


def forget(provider: BaseProvider) -> None:
    """Leave a provider alone that has been stopped."""
    ending = _kept.pop(id(provider), None)
    if ending is not None:
        portal = process.current()
        if portal is not None:
            portal.let_go(ending)


def start_blocking(provider: BaseProvider) -> str:
    """Start a provider of ours from code that does not await.

    Raises:
        NotReady: it could not be started.
    """
    try:
        url = run_blocking(provider.start, type(provider).__name__)
    except ServerNotStarted as exc:
        raise NotReady(str(exc)) from exc
    keep(provider)
    return url


def stop_blocking(provider: BaseProvider) -> None:
    """Stop a provider of ours from code that does not await."""
    forget(provider)
    run_blocking(provider.stop, type(provider).__name__)


async def _nobody_looks() -> None:
    """Stand for a server that cannot be asked whether it still runs."""


def wait_blocking(base_url: str, timeout_s: float, still_alive: Callable[[], Awaitable[None]] = _nobody_looks) -> None:
    """Wait until a server is healthy.

    Args:
        base_url: where it is.
        timeout_s: seconds in all.
        still_alive: raises `ServerNotStarted` when there is no use in waiting on.

    Raises:
        TimeoutError: it is not after `timeout_s` seconds.
    """
    from openenv_async.providers.base import wait_until_healthy

    try:
        run_blocking(lambda: wait_until_healthy(base_url, timeout_s, still_alive), "wait_for_ready")
    except ServerNotStarted as exc:
        raise NotReady(str(exc)) from exc
