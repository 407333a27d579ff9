"""Progress display of commands: one live line on a terminal, plain lines or nothing elsewhere.

Shared by all commands: detection of a terminal, NO_COLOR, `--quiet`, and the live line with its clock. A command sets
the current work (`doing`), writes whole lines (`line`, or `click.echo` within `above`), and ends the display (`end`),
which a `with` block does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TextIO, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

CLEAR = "\r\x1b[2K"

_QUIET = "openenv.quiet"
_TICK_S = 0.5
_TELL_S = 1.0
"""Seconds of work from which on its duration is shown."""


def _set_quiet(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        # Shared by a group's context and those of its commands.
        ctx.meta[_QUIET] = True


def quiet_option(command: F) -> F:
    """Add `--quiet` to a command or a group; `is_quiet` returns whether it was given to either."""
    option = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_quiet,
        help="Show results and errors only, no progress.",
    )
    return option(command)


def is_quiet() -> bool:
    """Return whether the running command was called with `--quiet`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def say(text: str) -> None:
    """Print a line of progress, unless the command was called with `--quiet`."""
    if not is_quiet():
        click.echo(text)


def is_terminal(stream: TextIO) -> bool:
    """Return whether a line on this stream can be drawn over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def no_colour() -> bool:
    """Return whether the user wants no colours anywhere: https://no-color.org."""
    return bool(os.environ.get("NO_COLOR"))


class Progress:
    """The live line of one stream. Safe to use from several threads.

    Args:
        stream: where it is drawn.
        plain: write the current work as lines where a line cannot be drawn over.
        clock: show the duration of the current work, and update it while nothing else happens.
    """

    def __init__(self, stream: TextIO, *, plain: bool = False, clock: bool = True) -> None:
        self.quiet = is_quiet()
        self.live = is_terminal(stream) and not self.quiet
        self.colour = self.live and not no_colour()
        self._stream, self._plain, self._clock = stream, plain and not self.quiet, clock
        self._lock = threading.RLock()
        self._head = self._detail = ""
        self._since = 0.0
        self._ticker: threading.Thread | None = None
        self._ended = threading.Event()

    def doing(self, head: str, detail: str = "") -> None:
        """Set the current work; a new head restarts the clock. An empty head removes the live line."""
        with self._lock:
            if not head + detail:
                self._clear()
            if head != self._head:
                self._since = time.monotonic()
                if self._plain and not self.live and head:
                    self._write(f"{head}\n")
            self._head, self._detail = head, detail
            self._draw()
            if self.live and self._clock and self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="openenv progress", daemon=True)
                self._ticker.start()

    def line(self, text: str) -> None:
        """Write a whole line above the live one."""
        with self.above():
            self._write(f"{text}\n")

    def keep(self, text: str) -> None:
        """Replace the live line by a whole line: the current work is done."""
        with self._lock:
            self._clear()
            self._head = self._detail = ""
            self._write(f"{text}\n")

    @contextlib.contextmanager
    def above(self) -> Iterator[None]:
        """Remove the live line while something else is written to the terminal."""
        with self._lock:
            self._clear()
            try:
                yield
            finally:
                self._draw()

    def took(self) -> str:
        """Return the duration as it is shown; empty where it is short."""
        seconds = time.monotonic() - self._since
        return f"{seconds:.1f} s" if self._head and seconds >= 0.1 else ""

    def end(self) -> None:
        """Remove the live line for good. Safe to repeat."""
        self._ended.set()
        with self._lock:
            self._clear()
            self._head = self._detail = ""

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                if not self._ended.is_set():
                    self._draw()

    def _clear(self) -> None:
        if self.live and self._head + self._detail:
            self._write(CLEAR)

    def _draw(self) -> None:
        if not self.live or not self._head + self._detail:
            return
        seconds = time.monotonic() - self._since
        clock = f"{seconds:.0f} s" if self._clock and self._head and seconds >= _TELL_S else ""
        text = self.cut("  ".join(filter(None, (self._head, clock, self._detail))))
        if self.colour and self._head and len(text) > len(self._head):
            text = f"{text[: len(self._head)]}\x1b[2m{text[len(self._head) :]}\x1b[0m"
        self._write(CLEAR + text)

    def cut(self, text: str) -> str:
        """Return the part of a line that the terminal has room for."""
        return text[: max(20, shutil.get_terminal_size().columns - 1)]

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.end()
