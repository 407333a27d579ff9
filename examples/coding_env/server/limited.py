"""Started as a program: takes limits upon itself, then becomes the agent's program.

`python limited.py MEMORY_BYTES CPU_SECONDS FILE_BYTES PROGRAM`. A program of its own
because a server with threads cannot safely run code between `fork` and `exec`.
"""

from __future__ import annotations

import os
import resource
import sys


def limit(kind: int, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    limit(resource.RLIMIT_AS, int(sys.argv[1]))
    limit(resource.RLIMIT_CPU, int(sys.argv[2]))
    limit(resource.RLIMIT_FSIZE, int(sys.argv[3]))
    limit(resource.RLIMIT_CORE, 0)
    os.execv(sys.executable, [sys.executable, sys.argv[4]])
