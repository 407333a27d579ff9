"""How late an event loop is, and a word in the log on whoever holds it up: a beat, and a thread that listens.

The thread speaks while the loop is still held up, when nothing on the loop could, and
again when it is over. `blocked_loop` finds out who it is.
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
"""Seconds between two beats."""

ADVICE = (
    "every session waits meanwhile: make what blocks a plain `def`, which runs in a thread, or set execution='thread'"
)


class LoopMonitor:
    """Watches the loop that it is started on. `start()`, then `stop()`; each may be repeated.

    Args:
        environment: whose server it is, for the log.
        blocked_after_s: seconds after which the log says who holds up the loop; None: never.
    """

    def __init__(self, environment: str, blocked_after_s: float | None) -> None:
        self._environment, self._blocked_after_s = environment, blocked_after_s
        self.lags = Histogram()
        """By how much the beats came too late."""
        self.last_s = 0.0
        """By how much the newest one did."""
        self.blocked = 0
        """How often the loop was held up for longer than `blocked_after_s`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._over = threading.Event()
        self._thread_id = 0

    @property
    def running(self) -> bool:
        """It watches a loop."""
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
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._over.set()

    def _schedule(self) -> None:
        assert self._loop is not None  # start() took care
        self._due = time.perf_counter() + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        # uvloop's timers count in milliseconds and may be a fraction of one early.
        self.last_s = max(0.0, time.perf_counter() - self._due)
        self.lags.add(self.last_s)
        self._schedule()

    # What follows runs in the thread.

    def _listen(self, over: threading.Event, patience_s: float) -> None:
        # Often enough that a stall is caught at most half its least length late.
        pause_s = max(0.02, min(0.25, patience_s / 4))
        while not over.wait(pause_s):
            due = self._due
            if time.perf_counter() - due > patience_s:
                self._tell(over, due, pause_s)

    def _tell(self, over: threading.Event, due: float, pause_s: float) -> None:
        """Say who it is, wait until the loop goes on, and say how long it took."""
        assert self._loop is not None  # start() took care
        culprit = find_culprit(self._loop, self._thread_id)
        if culprit is None or self._due != due:
            return  # it goes on already: this whole process was kept waiting, or the machine slept
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
