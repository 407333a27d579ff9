"""A program in a terminal: a pseudo-terminal that pyte reads as a real one would."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte

import openenv_async

BOUND_S = 40.0

LONG_S = 150.0
"""For a server that several commands are run against, one after the other, on a busy machine."""

ROOT = Path(openenv_async.__file__).parents[1]


class Terminal:
    """Runs `openenv` with these arguments in a terminal of that size."""

    def __init__(self, *arguments: str, columns: int = 120, lines: int = 24, **variables: str) -> None:
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Condition()
        self._over = False
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        others = ("OPENENV_TOKEN", "NO_COLOR", "COLUMNS", "LINES")  # of whoever runs the tests
        kept = {key: value for key, value in os.environ.items() if key not in others}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "openenv_async.cli", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=kept | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | variables,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._master = master
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the program has ended, and with it the other side
                data = b""
            with self._changed:
                if not data:
                    self._over = True
                else:
                    self.raw += data
                    self._stream.feed(data)
                self._changed.notify_all()
            if not data:
                return

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def until(self, fits: Callable[[str], object]) -> str:
        """Wait until what is on the screen fits; gives it."""
        with self._changed:
            ended = self._changed.wait_for(lambda: fits(self.text) or self._over, BOUND_S)
            assert ended and fits(self.text), f"the screen never fitted:\n{self.text}"
            return self.text

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def end(self) -> int:
        """Wait for the program's end; gives its exit code."""
        code = self.process.wait(BOUND_S)
        self._reader.join(BOUND_S)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(BOUND_S)
        os.close(self._master)


@contextlib.contextmanager
def terminal(*arguments: str, columns: int = 120, lines: int = 24, **variables: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments, columns=columns, lines=lines, **variables)
    try:
        yield opened
    finally:
        opened.close()


def piped(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `openenv` where there is no terminal."""
    kept = {key: value for key, value in os.environ.items() if key != "OPENENV_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "openenv_async.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(ROOT)} | variables,
    )


def wait_for(fits: Callable[[], object]) -> None:
    """Wait for something outside this process, but not for ever."""
    until = time.monotonic() + BOUND_S
    while not fits():
        assert time.monotonic() < until
        time.sleep(0.01)
