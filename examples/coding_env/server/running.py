"""One run of a Python program in a child process, within bounds.

The bounds stop accidents: loops without end, too much memory, too much output. They
are no wall: the program has the server's user, files and network. Whoever lets
strangers' programs in serves this from a container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

MIB = 1024 * 1024
_LAUNCHER = Path(__file__).with_name("limited.py")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one run may use."""

    time_s: float = 5.0
    """Seconds by the clock; then it is killed, and whatever it started with it."""

    memory_bytes: int = 1024 * MIB
    """Address space of each of its processes; beyond it, Python raises `MemoryError`."""

    output_bytes: int = 16 * 1024
    """Shown of stdout, and of stderr; the middle of a longer output is left out."""

    file_bytes: int = 16 * MIB
    """The largest file it may write. Its output goes to files and is bounded too."""


class Run(NamedTuple):
    """What came of it."""

    stdout: str
    stderr: str
    exit_code: int
    """Negative: the signal that ended it."""
    timed_out: bool


async def run_program(program: Path, stdin: str, bounds: Bounds) -> Run:
    """Run a program in its folder; when this is cancelled, the program is killed."""
    # Files, not pipes: nobody has to read while it runs, and their size is bounded.
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        source.write(stdin.encode())
        source.seek(0)
        child = await asyncio.create_subprocess_exec(
            *_command(program, bounds),
            cwd=program.parent,
            env=_environment(program.parent),
            stdin=source,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        timed_out = False
        try:
            async with asyncio.timeout(bounds.time_s):
                await child.wait()
        except TimeoutError:
            timed_out = True
        finally:
            # Always, because a program that ended may have left others running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            exit_code = await child.wait()
        return Run(
            stdout=_shown(out, bounds.output_bytes),
            stderr=_shown(err, bounds.output_bytes),
            exit_code=exit_code,
            timed_out=timed_out,
        )


def _command(program: Path, bounds: Bounds) -> list[str]:
    # What escapes the kill by leaving the process group still runs out of CPU time.
    cpu_s = int(bounds.time_s) + 1
    limits = [bounds.memory_bytes, cpu_s, bounds.file_bytes]
    # -I: nothing in the agent's folder may take the place of what the launcher imports.
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    return [*launcher, *map(str, limits), str(program)]


def _environment(folder: Path) -> dict[str, str]:
    # Not the server's own, which may hold secrets.
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",  # what it printed before it was killed is seen
    }


def _shown(file: IO[bytes], limit: int) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= limit:
        return file.read(limit).decode(errors="replace")
    head = file.read(limit // 2).decode(errors="replace")
    file.seek(size - limit // 2)
    tail = file.read(limit // 2).decode(errors="replace")
    return f"{head}\n[{size - 2 * (limit // 2)} bytes left out]\n{tail}"
