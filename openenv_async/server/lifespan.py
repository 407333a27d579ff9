"""Runs an app's ASGI lifespan: startup and shutdown, each with a time limit.

`server.runner` starts it before the first connection is accepted and ends it after the
last one is closed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message

logger = logging.getLogger("openenv_async.server")


class AppStartFailed(RuntimeError):
    """The app's startup code failed; `__cause__` is what it raised."""


class Lifespan:
    """An app's startup and shutdown. An app without lifespan support is served without, as ASGI says.

    Args:
        app: called with one `lifespan` scope.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._refused: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self, timeout_s: float) -> None:
        """Run the app's startup. Then call `shutdown()` once, whatever happens.

        Raises:
            AppStartFailed: the startup failed, or took longer than `timeout_s`.
        """
        self._task = asyncio.get_running_loop().create_task(self._run(), name="lifespan")
        self._to_app.put_nowait({"type": "lifespan.startup"})
        try:
            await asyncio.wait_for(self._started.wait(), timeout_s)
        except TimeoutError:
            raise AppStartFailed(f"the app's startup did not end within {timeout_s:g} s") from None
        if self._refused is not None:
            cause = await self._outcome()
            last_line = self._refused.strip().rpartition("\n")[2]
            raise AppStartFailed(f"the app's startup failed: {last_line or cause or 'it gave no reason'}") from cause

    async def shutdown(self, timeout_s: float) -> None:
        """Run the app's shutdown, and stop waiting for it after `timeout_s`. Does nothing before `startup()`."""
        if self._task is None:
            return
        if not self._task.done():
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            try:
                await asyncio.wait_for(self._ended.wait(), timeout_s)
            except TimeoutError:
                logger.error("the app's shutdown did not end within %g s; it is left behind", timeout_s)
        error = await self._outcome()
        if error is not None and self._refused is None:
            logger.error("the app's shutdown failed", exc_info=error)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._to_app.get, self._send)
        except Exception as error:
            # Ended before startup and without a message: the app does not support lifespan.
            if self._started.is_set() or self._refused is not None:
                raise
            logger.debug("the app takes no lifespan events: %r", error)
        finally:
            self._started.set()
            self._ended.set()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            self._refused = str(message.get("message", ""))
            if kind == "lifespan.shutdown.failed":
                logger.error("the app's shutdown failed: %s", self._refused)
        elif kind == "lifespan.startup.complete":
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self._ended.set()

    async def _outcome(self) -> BaseException | None:
        """Return what the app's task raised, once it is over; cancel a task that does not end."""
        assert self._task is not None
        await asyncio.wait([self._task], timeout=1.0)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
        if not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()
