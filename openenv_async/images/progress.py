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
class BuildStep:
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


Progress = BuildStep | Output | Transfer
OnProgress = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Drop a report."""


class Lines:
    """Joins fragments of output into whole lines."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, fragment: str) -> Iterator[str]:
        """Take the next fragment and return the lines that it completed."""
        *whole, self._rest = (self._rest + fragment).split("\n")
        return filter(None, map(_plain, whole))

    def end(self) -> Iterator[str]:
        """Return the text after the last line end."""
        rest, self._rest = self._rest, ""
        return filter(None, [_plain(rest)])


def _plain(line: str) -> str:
    # Of a line that overwrites itself, such as a progress bar, the last state is kept.
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
    """Base of the readers: the current step, its last lines, and whether the build succeeded. For subclasses."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.step: BuildStep | None = None
        self.output: deque[str] = deque(maxlen=KEPT_LINES)
        self.succeeded = False
        self.lines = Lines()

    def began(self, step: BuildStep) -> None:
        """Record that a step begins, and drop the lines of the one before it."""
        self.step = step
        self.output.clear()
        self.on_progress(step)

    def wrote(self, line: str) -> None:
        """Record a line of the current step."""
        self.output.append(line)
        self.on_progress(Output(line))

    def ended(self) -> None:
        """Take the last line: the output has ended."""
        for line in self.lines.end():
            self.line(line)

    def line(self, line: str) -> None:
        """Take one line."""
        raise NotImplementedError


class ClassicReader(Reader):
    """Reads the stream of the engine's own build API."""

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
        if match := _STEP.fullmatch(line):
            self.began(BuildStep(int(match[1]), int(match[2]), match[3]))
        elif _DONE.match(line):
            self.succeeded = True
        elif not _ENGINES_OWN.match(line):
            self.wrote(line)


class BuildKitReader(Reader):
    """Reads the plain progress of BuildKit, whose steps run in parallel."""

    def __init__(self, on_progress: OnProgress) -> None:
        super().__init__(on_progress)
        self._steps: dict[str, BuildStep] = {}

    def line(self, line: str) -> None:
        if match := _KIT_STEP.fullmatch(line):
            step = BuildStep(int(match[2]), int(match[3]), match[4])
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
