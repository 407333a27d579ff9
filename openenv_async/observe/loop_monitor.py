"""Measures event-loop lag; a watchdog thread logs the call that blocks the loop.

The thread logs while the loop is still blocked, when code on the loop cannot, and again when the loop continues.
`blocked_loop` finds the call.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from openenv_async.observe.blocked_loop import Culprit, find_culprit
from openenv_async.observe.metrics import Histogram
from openenv_async.runtime.current_session import about

logger = logging.getLogger("openenv_async")

BEAT_S = 0.1
"""Seconds between two timers."""

ADVICE = (
    "every session waits meanwhile: make what blocks a plain `def`, which runs in a thread, or set execution='thread'"
)


class LoopMonitor:
    """Watches the loop on which `start()` is called, until `stop()`. Both may be called again.

    Args:
        environment: name of the environment, for the log.
        blocked_after_s: seconds after which a call that blocks the loop is logged; None: never.
    """

    def __init__(self, environment: str, blocked_after_s: float | None) -> None:
        self._environment, self._blocked_after_s = environment, blocked_after_s
        self.lags = Histogram()
        """Delays of the timers."""
        self.last_s = 0.0
        """The newest delay, in seconds."""
        self.blocked = 0
        """How often the loop was blocked for longer than `blocked_after_s`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._over = threading.Event()
        self._thread_id = 0

    @property
    def running(self) -> bool:
        """Whether it watches a loop."""
        return self._timer is not None

    def start(self) -> None:
        """Watch the running loop."""
        if self._timer is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._over = threading.Event()
        self._schedule()
        if self._blocked_after_s is not None:
            threading.Thread(
                target=self._listen, args=(self._over, self._blocked_after_s), name="openenv loop monitor", daemon=True
            ).start()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._over.set()

    def _schedule(self) -> None:
        assert self._loop is not None  # set by start()
        self._due = time.perf_counter() + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        # uvloop's timers count in milliseconds and may be a fraction of one early.
        self.last_s = max(0.0, time.perf_counter() - self._due)
        self.lags.add(self.last_s)
        self._schedule()

    # The methods below run in the watchdog thread.

    def _listen(self, over: threading.Event, patience_s: float) -> None:
        # Short enough that a blocked loop is noticed at most a quarter of `patience_s` late.
        pause_s = max(0.02, min(0.25, patience_s / 4))
        while not over.wait(pause_s):
            due = self._due
            if time.perf_counter() - due > patience_s:
                self._tell(over, due, pause_s)

    def _tell(self, over: threading.Event, due: float, pause_s: float) -> None:
        """Log the call, wait until the loop continues, and log how long it was blocked."""
        assert self._loop is not None  # set by start()
        culprit = find_culprit(self._loop, self._thread_id)
        if culprit is None or self._due != due:
            return  # the loop runs again: the whole process was suspended, or the machine slept
        self.blocked += 1
        self._say("has been blocked for", "so far ", due, culprit)
        while self._due == due and not over.wait(pause_s / 4):
            pass
        if self._due != due:
            self._say("was blocked for", "", due, culprit)

    def _say(self, verb: str, so_far: str, due: float, culprit: Culprit) -> None:
        lasted_s = time.perf_counter() - due
        fields = about(
            culprit.ids.session_id if culprit.ids else "",
            event="loop_blocked",
            environment=self._environment,
            blocked_by=culprit.call,
            where=culprit.where,
            duration_s=round(lasted_s, 3),
        )
        logger.warning(
            "environment %s: the event loop %s %.1f s %s%s; %s",
            self._environment,
            verb,
            lasted_s,
            so_far,
            culprit,
            ADVICE if culprit.call else "every session waits meanwhile",
            extra=fields,
        )
