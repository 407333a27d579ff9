"""What a build or a push reports while it runs.

Three kinds of event, whatever the engine or the command line tool beneath calls
them. `lines` puts the engine's fragments of text together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the Dockerfile begins."""

    number: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """A line that the running step wrote, without colours."""

    text: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A layer moves to or from a registry."""

    layer: str
    status: str
    current: int
    total: int
    """0 when the engine does not know it."""


Progress = Step | Output | Transfer
OnProgress = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Report to nobody."""


class Lines:
    """Puts fragments of output together, as they come, into whole lines."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, fragment: str) -> Iterator[str]:
        """Take the next fragment and give the lines that it completed."""
        *whole, self._rest = (self._rest + fragment).split("\n")
        return filter(None, map(_plain, whole))

    def end(self) -> Iterator[str]:
        """Give what came after the last line end."""
        rest, self._rest = self._rest, ""
        return filter(None, [_plain(rest)])


def _plain(line: str) -> str:
    # Of a line that was written over and over, a progress bar, the last state counts.
    return _ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2].rstrip()
