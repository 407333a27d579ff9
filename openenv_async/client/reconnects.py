"""`env.on_reconnect`: telling whoever wants to know that a session goes on over a new connection.

Owns the callback and what becomes of its errors. `native` finds the server again.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import weakref
from collections.abc import Callable
from typing import Any

from openenv_async.client.channel import Channel

logger = logging.getLogger("openenv_async")

_RUNNING: set[asyncio.Future[Any]] = set()
"""Callbacks that are coroutines; the loop alone would not keep them."""


class Reconnects:
    """The part of `AsyncEnv` that has the callback."""

    def __init__(self) -> None:
        self._on_reconnect: Callable[[Any], object] | None = None
        super().__init__()

    @property
    def on_reconnect(self) -> Callable[[Any], object] | None:
        """Called with this client each time its session goes on over a new connection; None: nobody is told.

        A plain function or a coroutine function. What it raises is logged and hurts nothing; the call in flight does
        not wait for it.
        """
        return self._on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, callback: Callable[[Any], object] | None) -> None:
        self._on_reconnect = callback

    def _watch(self, channel: Channel) -> None:
        # Weak: a client that nobody holds is to be collected, though its connection goes on.
        me = weakref.ref(self)

        def resumed() -> None:
            env = me()
            if env is not None:
                env._resumed()

        channel.on_resumed = resumed

    def _resumed(self) -> None:
        if self._on_reconnect is None:
            return
        try:
            given = self._on_reconnect(self)
        except Exception:
            logger.exception("on_reconnect of %r failed", self)
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
