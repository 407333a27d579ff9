"""What is told of a process that ended by itself: how, and the last it wrote to stderr.

A peer gets the lines without the frames of tracebacks and without the folders of
paths, unless the server runs with `--debug`; the server's own stderr has them whole.
"""

from __future__ import annotations

import codecs
import os
import re
import signal
import sys
from collections import deque
from typing import Any

from openenv_async.errors import EnvironmentCrashed

MOST_LINES = 20
MOST_CHARACTERS = 4096

_FATAL = "Fatal Python error"
_FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^\s/\"':;,()<>]+/)+")


class Stderr:
    """The end of what a process wrote, kept for the error; all of it goes on to this process's stderr."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._line = ""
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._fatal: list[str] | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read; lines are written on when they are whole."""
        *whole, rest = (self._line + self._decode(data)).split("\n")
        if len(rest) > MOST_CHARACTERS:
            whole, rest = [*whole, rest], ""
        self._line = rest
        self._take(whole)

    def finish(self) -> None:
        """Take the last line, though nothing ended it."""
        if self._line:
            whole, self._line = [self._line], ""
            self._take(whole)

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith(_FATAL):
                self._fatal = []
            if self._fatal is None:
                self._lines.append(line)
            elif len(self._fatal) < MOST_LINES:
                # The innermost frames come first, and matter most.
                self._fatal.append(line)
        if lines:
            try:
                sys.stderr.write("".join(line + "\n" for line in lines))
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):  # the server's is closed: nobody reads it
                return

    def text(self, *, debug: bool) -> str:
        """Give the last lines; without `debug` only what any peer may see."""
        lines = self._fatal or list(self._lines)
        text = "\n".join(lines if debug else _for_peers(lines))
        return text[:MOST_CHARACTERS] if self._fatal else text[-MOST_CHARACTERS:]


def _for_peers(lines: list[str]) -> list[str]:
    """Leave out the frames of tracebacks, and the folders of paths."""
    kept, in_frames = [], False
    for line in lines:
        in_frames = in_frames and line.startswith(" ")
        if not in_frames:
            kept.append(_FOLDERS.sub("", line))
            in_frames = "(most recent call " in line
    return kept


def how_it_ended(status: int | None) -> tuple[str, dict[str, Any]]:
    """Put a wait status into words, and into the details of an error."""
    if status is None:
        return "ended", {}
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}", {"exit_code": code}
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}", {"signal": name}


def crashed(status: int | None, stderr: str, why: str = "") -> EnvironmentCrashed:
    """Make the error for whoever used the process."""
    words, details = how_it_ended(status)
    because = f" ({why})" if why else ""
    last = f": {stderr.strip().splitlines()[0]}" if stderr.startswith(_FATAL) else ""
    return EnvironmentCrashed(
        f"the environment's process {words}{because}{last}; the session is broken: call reset() for a fresh one",
        **details,
        stderr=stderr,
    )
