"""Run one import statement in a fresh interpreter and say what it cost. Standard library only."""

from __future__ import annotations

import json
import sys
import time


def resident_bytes() -> int:
    """Give this process's memory. Written out here: importing `load` would be part of what is measured."""
    try:
        import os

        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    bare = resident_bytes()
    started = time.perf_counter()
    exec(sys.argv[1])
    seconds = time.perf_counter() - started
    cost = {"seconds": seconds, "bare_bytes": bare, "resident_bytes": resident_bytes(), "modules": len(sys.modules)}
    sys.stdout.write(json.dumps(cost))
