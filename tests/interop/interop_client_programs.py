"""The programs of the client matrix, the worlds they play in, and how one is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

PROGRAMS = Path(__file__).with_name("programs")
GOLDEN = Path(__file__).with_name("golden_client")
BOUND_S = 90.0

OURS = [sys.executable, "-m", "openenv_async.compat", "--force"]
"""The command that runs a program with `openenv` answered by this project; its first word runs one without."""


class Play(NamedTuple):
    """One program on one kind of server."""

    program: str
    world: str

    @property
    def name(self) -> str:
        return self.world


PLAYS = [
    Play("client_play.py", "client_sync"),
    Play("client_play.py", "client_async"),
    Play("client_tools_play.py", "client_tools"),
]


RUBRICS = "rubrics_play.py"
"""A program that needs no server."""


def run(command: list[str]) -> list[Any]:
    """Run a program and give what it printed.

    Raises:
        AssertionError: it failed, or said something it should not.
    """
    done = subprocess.run(command, cwd=PROGRAMS, capture_output=True, text=True, timeout=BOUND_S)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
