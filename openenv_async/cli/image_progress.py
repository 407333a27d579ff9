"""How a build or a push looks while it runs: one live line on a terminal, plain lines elsewhere.

Owns the terminal's ways (width, colour, NO_COLOR), running the work on a loop,
and turning the errors of `images` into what a command says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TextIO, TypeVar

import click

from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.images.errors import BuildFailed, ImageError, InvalidImageName, PushFailed
from openenv_async.images.progress import OnProgress, Output, Progress, Step, Transfer

T = TypeVar("T")
_CLEAR = "\r\x1b[2K"


def run_image_work(work: Callable[[OnProgress], Awaitable[T]]) -> T:
    """Run asynchronous work to its end and show its progress.

    Raises:
        CommandFailed: the user stopped it.
    """
    display = Display(sys.stdout)
    try:
        return asyncio.run(_awaited(work(display)))
    except KeyboardInterrupt:
        raise CommandFailed("stopped; what the engine has finished stays in its cache") from None
    finally:
        display.end()


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@contextlib.contextmanager
def image_errors() -> Iterator[None]:
    """Say errors of `images` as a command does: a failing step's output first, then sentence and hint."""
    try:
        yield
    except InvalidImageName as error:
        raise BadInput(str(error)) from error
    except BuildFailed as error:
        for line in error.output:
            click.echo(f"  {line}", err=True)
        raise CommandFailed(_with_hint(str(error), error.hint)) from error
    except PushFailed as error:
        raise CommandFailed(_with_hint(str(error), error.hint)) from error
    except ImageError as error:
        raise CommandFailed(str(error)) from error


def _with_hint(sentence: str, hint: str | None) -> str:
    return f"{sentence}\nHint: {hint}." if hint else sentence


class Display:
    """Shows progress on a stream; call it with each event, and `end` it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._step: Step | None = None
        self._since = 0.0
        self._detail = ""
        self._layers: dict[str, Transfer] = {}
        self._told: set[tuple[str, str]] = set()

    def __call__(self, event: Progress) -> None:
        """Show one event."""
        match event:
            case Step():
                self._finish()
                self._step, self._since = event, time.monotonic()
                if not self._live:
                    self._line(_head(event))
            case Output():
                self._detail = event.text
            case Transfer():
                self._moved(event)
        self._redraw()

    def end(self) -> None:
        """Leave the stream with whole lines only."""
        self._finish()

    def _finish(self) -> None:
        if self._live and self._step is not None:
            took = time.monotonic() - self._since
            seconds = f"  {took:.1f} s" if took >= 0.1 else ""
            self._stream.write(_CLEAR)
            self._line(self._cut(_head(self._step) + seconds))
        elif self._live and self._layers:
            self._stream.write(_CLEAR)
            self._line(self._cut(_moving(self._layers)))
        self._step, self._detail, self._layers = None, "", {}

    def _moved(self, event: Transfer) -> None:
        if event.layer:
            self._layers[event.layer] = event
            self._detail = _moving(self._layers)
        if not self._live and (event.layer, event.status) not in self._told and not event.total:
            # Without a terminal: a line when something changes, not for every percent.
            self._told.add((event.layer, event.status))
            self._line(f"  {event.layer}{': ' if event.layer else ''}{event.status}")

    def _redraw(self) -> None:
        if not self._live:
            return
        head = _head(self._step) if self._step else ""
        text = self._cut("  ".join(filter(None, (head, self._detail))))
        if self._colour and head and len(text) > len(head):
            text = f"{text[: len(head)]}\x1b[2m{text[len(head) :]}\x1b[0m"
        self._stream.write(_CLEAR + text)
        self._stream.flush()

    def _cut(self, text: str) -> str:
        return text[: max(20, shutil.get_terminal_size().columns - 1)]

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _head(step: Step) -> str:
    return f"[{step.number}/{step.total}] {' '.join(step.text.split())}"


def _moving(layers: dict[str, Transfer]) -> str:
    done = sum(layer.current for layer in layers.values())
    total = sum(layer.total for layer in layers.values())
    size = f", {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
    return f"{len(layers)} layers{size}"
