"""`serve_app` as a program: signals, exit codes, and no traceback."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import PROGRAMS

import openenv_async

PROGRAM = PROGRAMS / "runner_apps.py"
BOUND_S = 20


class Program:
    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(openenv_async.__file__).parents[1])},
        )
        # Bounds every blocking read below.
        self._bomb = threading.Timer(BOUND_S, self.process.kill)
        self._bomb.start()
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.fullmatch(r"Listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line + self.process.stderr.read()
        self.url = found[1]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=BOUND_S)
        return self.process.returncode, out, err

    def close(self) -> None:
        self._bomb.cancel()
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def running(name: str) -> Iterator[Program]:
    program = Program(name)
    try:
        yield program
    finally:
        program.close()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_ends_with_code_zero(kind: signal.Signals) -> None:
    with running("app") as program:
        assert httpx.get(program.url).text == "hello"
        program.process.send_signal(kind)
        assert program.end() == (0, "['startup', 'drain 0.2', 'shutdown']\n", "")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    with running("stubborn") as program:
        program.process.send_signal(signal.SIGTERM)
        assert program.process.stdout is not None
        assert program.process.stdout.readline() == "draining\n"
        program.process.send_signal(second)
        assert program.end() == (-second, "", "")


def test_signals_are_heard_while_code_holds_the_loop() -> None:
    with running("blocked") as program:
        threading.Thread(target=lambda: _ignore_errors(program.url + "/hang"), daemon=True).start()
        assert program.process.stdout is not None
        assert program.process.stdout.readline() == "blocked\n"
        program.process.send_signal(signal.SIGINT)
        # The first is taken by the handler between two of that code's instructions, or else the second
        # one would be its first; only the default meaning ends a process whose loop does not turn.
        while program.process.poll() is None:
            program.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(timeout=0.2)
        assert program.process.returncode == -signal.SIGINT


def _ignore_errors(url: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(url, timeout=BOUND_S)
