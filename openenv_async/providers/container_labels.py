"""Labels that name the owner of a container, and the removal of containers whose owner has died.

An owner is a process: its id, its start time, and the boot of its machine, so that a
reused id or another machine's engine is not mistaken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiodocker import Docker

LABEL = "openenv.owner"


def me() -> str:
    """Return this process's description, for the label."""
    return json.dumps({"host": _host(), "pid": os.getpid(), "started": _started(os.getpid())}, sort_keys=True)


def is_gone(owner: str) -> bool:
    """Return whether the process that a label describes has certainly ended."""
    try:
        said: dict[str, Any] = json.loads(owner)
        pid, started = int(said["pid"]), said["started"]
    except (ValueError, KeyError, TypeError):
        return False
    if said.get("host") != _host():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now = _started(pid)
    return now is not None and started is not None and now != started


async def sweep(docker: Docker) -> list[str]:
    """Remove every container of the engine whose owner has died; return their ids."""
    import aiodocker

    removed: list[str] = []
    for container in await docker.containers.list(all=True, filters={"label": [LABEL]}):
        try:
            labels = (await container.show())["Config"]["Labels"]
            if is_gone(labels.get(LABEL, "")):
                await container.delete(force=True, v=True)
                removed.append(str(container.id))
        except aiodocker.DockerError as exc:
            if exc.status not in (404, 409):  # removed meanwhile by another process
                raise
    return removed


def _host() -> str:
    """Return an id of this machine's current boot."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()


def _started(pid: int) -> str | None:
    """Return when a process started, in the kernel's clock ticks (proc(5), field 22); None without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in parentheses and may hold anything, parentheses and blanks included.
    return stat.rpartition(")")[2].split()[19]
