"""Runs a command's asynchronous work, and ends everything it started when a signal comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from openenv_async.cli.errors import Interrupted

T = TypeVar("T")


def run_bounded(work: Callable[[], Awaitable[T]]) -> T:
    """Run asynchronous work; Ctrl-C and SIGTERM cancel it, and what it started is ended first.

    Raises:
        Interrupted: a signal came.
    """

    async def main() -> T:
        return await work()

    with _terminated_as_interrupted():
        try:
            return asyncio.run(main())
        except KeyboardInterrupt:
            raise Interrupted("stopped; nothing was left running") from None


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        # The runner's own handler of SIGINT cancels the task, which ends what it started.
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: a test, or a program that calls the command
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
