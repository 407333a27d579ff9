"""Runs a program that must not harm its caller: bounded in time and output, and never left running.

It ends with its process group, and when this process does, because the supervisor
that runs it watches a pipe (`providers.supervisor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

OUTPUT_LINES = 40
END_TIMEOUT_S = 20.0
"""Longer than the supervisor's own grace period."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a program ended."""

    exit_code: int | None
    """None: it did not end in time and was killed. Negative: the signal that ended it."""

    output: tuple[str, ...]
    """The last lines of both its streams."""


async def run_child(words: Sequence[str], timeout_s: float, variables: Mapping[str, str] | None = None) -> ChildResult:
    """Run a program until it ends or its time is over.

    Args:
        words: the program and its arguments.
        timeout_s: seconds it may take.
        variables: besides this process's own.

    Raises:
        OSError: it cannot be started.
        CancelledError: it was ended.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openenv_async.providers.supervisor"),
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(variables or {})},
    )
    lines: deque[str] = deque(maxlen=OUTPUT_LINES)
    reading = asyncio.create_task(_read(process, lines), name="output of a child of the validator")
    try:
        code: int | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                code = await process.wait()
    finally:
        await to_its_end(asyncio.create_task(_end(process, reading), name="end of a child of the validator"))
    if code is not None and code >= 192:
        code -= 256  # the supervisor exits with a signal's negative number, and an exit code has eight bits
    return ChildResult(code, tuple(lines))


async def to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for a task that must not be interrupted: a cancelled caller continues when the task is done."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _end(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    assert process.stdin is not None  # it was asked for
    process.stdin.close()
    with anyio.move_on_after(END_TIMEOUT_S):
        await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await asyncio.wait([reading], timeout=5)
    reading.cancel()


async def _read(process: asyncio.subprocess.Process, lines: deque[str]) -> None:
    assert process.stdout is not None  # it was asked for
    rest = b""
    # Not line by line: one endless line must not fill the memory.
    while chunk := await process.stdout.read(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        lines.extend(line.decode(errors="replace").rstrip() for line in whole)
        rest = rest[-4096:]
    if rest:
        lines.append(rest.decode(errors="replace").rstrip())
