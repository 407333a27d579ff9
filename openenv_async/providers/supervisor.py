"""`python -m openenv_async.providers.supervisor COMMAND...`: runs a command that must not outlive its owner.

The owner holds the other end of standard input. When it closes, because the owner
closed it or died, the command's whole process group is stopped: SIGTERM first, SIGKILL
after a grace period. Imports only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

GRACE_S = 15.0
"""Seconds between SIGTERM and SIGKILL: longer than a server's own grace."""

POLL_S = 0.2


def main(command: list[str]) -> int:
    """Run the command until it ends or standard input closes; return its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for signum in (signal.SIGINT, signal.SIGTERM):
        # The owner decides; a Ctrl-C in its terminal must not stop the server before the owner does.
        signal.signal(signum, signal.SIG_IGN)
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if ready and not os.read(sys.stdin.fileno(), 4096):
            break
    if child.poll() is None:
        _end(child)
    with contextlib.suppress(ProcessLookupError):
        # Processes that the command left behind.
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
