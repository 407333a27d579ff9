"""Removes a secret from this process's command line and first variables, as `/proc` shows them.

`os.environ.pop` changes what programs started from now on inherit. The block of memory that the system gave the
process at its start keeps the text, and every process of the same user reads it in `/proc/PID/environ` and `cmdline`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys

logger = logging.getLogger("openenv_async.server")

_ARG_START, _ENV_END = 45, 48
"""Places of `arg_start` and `env_end` in `/proc/self/stat`, counted behind the command's name; source: proc(5)."""


def hide_secret(secret: str) -> bool:
    """Overwrite every occurrence of `secret` in this process's arguments and variables with asterisks.

    Linux only; elsewhere nothing is changed, and False is returned.
    """
    found = _blocks() if secret else []
    for start, end in found:
        _overwrite(start, end, os.fsencode(secret))
    return bool(found)


def _blocks() -> list[tuple[int, int]]:
    if sys.platform != "linux":
        return []
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        arg_start, arg_end, env_start, env_end = map(int, fields[_ARG_START : _ENV_END + 1])
    except (OSError, ValueError) as exc:
        logger.warning("the token stays readable in /proc/%d/environ: %s", os.getpid(), exc)
        return []
    return [(start, end) for start, end in ((arg_start, arg_end), (env_start, env_end)) if 0 < start < end]


def _overwrite(start: int, end: int, secret: bytes) -> None:
    block = ctypes.string_at(start, end - start)
    at = block.find(secret)
    while at >= 0:
        ctypes.memset(start + at, ord("*"), len(secret))
        at = block.find(secret, at + len(secret))
