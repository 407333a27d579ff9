"""An echo that computes: 5 ms of processor time in pure Python at each step."""

from __future__ import annotations

import time

from benchmarks.environments.ours.echo import EchoAction, EchoObservation, SyncEcho

BUSY_S = 0.005


class BusyEcho(SyncEcho):
    """Holds the interpreter's lock while it computes, as an environment in Python does."""

    def step(self, action: EchoAction) -> EchoObservation:
        # Processor time of this thread, so that a busy machine does not shorten the work.
        until = time.thread_time() + BUSY_S
        while time.thread_time() < until:
            sum(range(100))
        return super().step(action)
