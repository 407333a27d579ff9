"""Bounds the shutdown of `openenv serve`, whatever an environment does.

A thread ends the process when the orderly shutdown, by `server.runner`, takes too
long; threads that never return are left behind.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

import click

_MOMENT_S = 0.5


class BoundedEnd:
    """Context around the server: once `begin` was called, the process ends within `bound_s` seconds.

    Args:
        bound_s: seconds for the whole shutdown.
        notice: written to stderr when the shutdown begins.
    """

    def __init__(self, bound_s: float, notice: str | None) -> None:
        self._bound_s = bound_s
        self._notice = notice
        # A pipe, because its other end may be written to inside a signal handler.
        self._began, self._begin = os.pipe()
        self._done = threading.Event()
        self._others: set[threading.Thread] = set()
        self._watch = threading.Thread(target=self._run, name="bounded end", daemon=True)

    def begin(self) -> None:
        """Start the clock. Safe inside a signal handler."""
        os.write(self._begin, b"!")

    def __enter__(self) -> Self:
        self._watch.start()
        self._others = set(threading.enumerate())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()
        os.close(self._begin)
        self._watch.join()
        os.close(self._began)
        fresh = [t for t in threading.enumerate() if t not in self._others and not t.daemon]
        until = time.monotonic() + _MOMENT_S
        for thread in fresh:
            # A thread that only waited for work has been told to end.
            thread.join(max(0.0, until - time.monotonic()))
        hung = [thread for thread in fresh if thread.is_alive()]
        if hung and error is None:
            # Python would wait for them forever before it ends.
            names = ", ".join(thread.name for thread in hung)
            click.echo(f"Stopped. Left behind, because it never returned: {names}", err=True)
            _leave(0)

    def _run(self) -> None:
        if not os.read(self._began, 1):
            return
        if self._notice:
            click.echo(self._notice, err=True)
        if not self._done.wait(self._bound_s):
            click.echo(f"Error: it did not stop within {self._bound_s:g} s and is ended.", err=True)
            _leave(1)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
