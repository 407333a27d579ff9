"""Progress of a build or a push: one live line on a terminal, plain lines elsewhere.

Also runs the work on an event loop and raises the errors of `images` as command
errors. `cli.progress` draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TextIO, TypeVar

import click

from openenv_async.cli.errors import BadInput, CommandFailed
from openenv_async.cli.progress import Progress
from openenv_async.images.errors import BuildFailed, ImageError, InvalidImageName, PushFailed
from openenv_async.images.progress import BuildStep, OnProgress, Output, Transfer
from openenv_async.images.progress import Progress as Progressed

T = TypeVar("T")


def run_image_work(work: Callable[[OnProgress], Awaitable[T]]) -> T:
    """Run asynchronous work and show its progress.

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
    """Raise errors of `images` as command errors: a failing step's output first, then sentence and hint."""
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
    """Progress on a stream; call it with each event, and `end` it."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(stream, plain=True)
        self._step: BuildStep | None = None
        self._layers: dict[str, Transfer] = {}
        self._told: set[tuple[str, str]] = set()

    def __call__(self, event: Progressed) -> None:
        """Show one event."""
        head = _head(self._step) if self._step else ""
        match event:
            case BuildStep():
                self._finish()
                self._step = event
                self._progress.doing(_head(event))
            case Output():
                self._progress.doing(head, event.text)
            case Transfer():
                self._moved(event, head)

    def end(self) -> None:
        """Leave the stream with whole lines only."""
        self._finish()
        self._progress.end()

    def _finish(self) -> None:
        shown = self._progress
        if shown.live and self._step is not None:
            shown.keep(shown.cut("  ".join(filter(None, (_head(self._step), shown.took())))))
        elif shown.live and self._layers:
            shown.keep(shown.cut(_moving(self._layers)))
        self._step, self._layers = None, {}

    def _moved(self, event: Transfer, head: str) -> None:
        shown = self._progress
        if event.layer:
            self._layers[event.layer] = event
        shown.doing(head, _moving(self._layers) if self._layers else "")
        if not (shown.live or shown.quiet) and (event.layer, event.status) not in self._told and not event.total:
            # Without a terminal: a line when something changes, not for every percent.
            self._told.add((event.layer, event.status))
            shown.line(f"  {event.layer}{': ' if event.layer else ''}{event.status}")


def _head(step: BuildStep) -> str:
    return f"[{step.number}/{step.total}] {' '.join(step.text.split())}"


def _moving(layers: dict[str, Transfer]) -> str:
    done = sum(layer.current for layer in layers.values())
    total = sum(layer.total for layer in layers.values())
    size = f", {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
    return f"{len(layers)} layers{size}"
