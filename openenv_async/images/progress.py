"""The events of a build or a push while it runs, and the readers of the engine's output that produce them.

Two formats: the classic builder's stream of JSON objects, and the plain progress of
BuildKit's command line. A reader also keeps the last lines of the current step, for
the error if it fails.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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


# Docker's builder, and podman's, which counts the steps of each stage by themselves.
_STEP = re.compile(r"(?:Step|(?:\[\d+/\d+\] )?STEP) (\d+)/(\d+) ?: (.*)")
_DONE = re.compile(r"Successfully built (\w+)")
_ENGINES_OWN = re.compile(
    r" ?---> (?:[0-9a-f]{12}|Running in|Using cache)|Removing intermediate container|Successfully "
)
_KIT_STEP = re.compile(r"#(\d+) \[(?:[\w.-]+ )?\s*(\d+)/(\d+)\] (.*)")
_KIT_OUTPUT = re.compile(r"#(\d+) (?:\d+\.\d+ )?(.*)")
KEPT_LINES = 60


class Reader:
    """What both dialects lead to."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.step: Step | None = None
        self.output: deque[str] = deque(maxlen=KEPT_LINES)
        self.succeeded = False
        self.lines = Lines()

    def began(self, step: Step) -> None:
        """A step begins; what the one before it wrote is no longer wanted."""
        self.step = step
        self.output.clear()
        self.on_progress(step)

    def wrote(self, line: str) -> None:
        """The running step wrote a line."""
        self.output.append(line)
        self.on_progress(Output(line))

    def ended(self) -> None:
        """Nothing follows."""
        for line in self.lines.end():
            self.line(line)

    def line(self, line: str) -> None:
        """Take one line."""
        raise NotImplementedError


class ClassicReader(Reader):
    """The stream of the engine's own build API."""

    def feed(self, item: Mapping[str, Any]) -> None:
        """Take one object of the stream. Errors in it were raised by aiodocker."""
        if isinstance(item.get("stream"), str):
            for line in self.lines.feed(item["stream"]):
                self.line(line)
        elif "status" in item:
            self.on_progress(transfer(item))
        if isinstance(item.get("aux"), dict) and "ID" in item["aux"]:
            self.succeeded = True

    def line(self, line: str) -> None:
        """Take one line of the builder's, or of the step's."""
        if match := _STEP.fullmatch(line):
            self.began(Step(int(match[1]), int(match[2]), match[3]))
        elif _DONE.match(line):
            self.succeeded = True
        elif not _ENGINES_OWN.match(line):
            self.wrote(line)


class BuildKitReader(Reader):
    """The plain progress of BuildKit, whose steps run side by side."""

    def __init__(self, on_progress: OnProgress) -> None:
        super().__init__(on_progress)
        self._steps: dict[str, Step] = {}

    def line(self, line: str) -> None:
        """Take one line: a step begins, or one of them writes."""
        if match := _KIT_STEP.fullmatch(line):
            step = Step(int(match[2]), int(match[3]), match[4])
            if match[1] not in self._steps:
                self._steps[match[1]] = step
                self.began(step)
            return
        match = _KIT_OUTPUT.fullmatch(line)
        text = match[2] if match else line
        if text and not re.match(r"DONE|CACHED|sha256:|transferring|\.\.\.", text):
            self.wrote(text)


def transfer(item: Mapping[str, Any]) -> Transfer:
    """Read a progress object of a pull or a push."""
    detail = item.get("progressDetail") or {}
    return Transfer(
        layer=str(item.get("id") or ""),
        status=str(item.get("status") or ""),
        current=int(detail.get("current") or 0),
        total=int(detail.get("total") or 0),
    )
