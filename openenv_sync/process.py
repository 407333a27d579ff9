"""The one portal of this process: made on first use, anew after a fork, stopped at exit.

Owns the rule of which thread may block on it. How a call crosses over is in `loop`.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from typing import NoReturn

from openenv_async.errors import ClientClosed, WrongLoop
from openenv_sync.loop import Portal, too_late

_lock = threading.Lock()
_portal: Portal | None = None

_inherited: list[Portal] = []
"""Portals of the parent, in a forked child. Never used and never collected: the sockets are the parent's, and
destroying an inherited loop would take them out of the epoll set that both processes share."""


def portal() -> Portal:
    """Return the portal of this process; the first call starts its thread."""
    global _portal
    with _lock:
        if _portal is None:
            _portal = Portal()
            _close_with_worker()
        return _portal


def current() -> Portal | None:
    """Return the portal of this process, or None; starts nothing."""
    return _portal


def is_current(candidate: Portal) -> bool:
    """Return whether the portal runs in this process; an inherited one does not."""
    return candidate is _portal


def refuse_foreign(candidate: Portal, who: str) -> NoReturn:
    """Raise the reason why a client cannot be used on a portal of another process.

    Raises:
        ClientClosed: always.
    """
    if candidate in _inherited:
        raise ClientClosed(
            f"this {who} was connected before fork() and its session belongs to the parent process; "
            f"make a new {who} in this one"
        )
    raise too_late()


def refuse_running_loop(doing: str) -> None:
    """Check that this thread may block.

    Raises:
        WrongLoop: it runs an event loop, which would stand still. A notebook's cell may: its user waits for it anyway.
    """
    running = asyncio._get_running_loop()
    if running is None:
        return
    if _portal is not None and running is _portal.loop:
        raise WrongLoop(
            f"{doing} was called on the sync clients' own event loop, which it would wait for: use AsyncEnv "
            "in code that runs there, such as an environment served in this process"
        )
    if not _in_notebook():
        raise WrongLoop(
            f"{doing} was called inside a running event loop and would stop everything else on it: use AsyncEnv "
            f"and await it here, or run the sync client in a thread with asyncio.to_thread()"
        )


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _stop() -> None:
    global _portal
    current, _portal = _portal, None
    if current is not None:
        current.stop()


def _close_with_worker() -> None:
    # A worker of multiprocessing leaves by os._exit(), without atexit, and would leave its sessions open.
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _stop, exitpriority=0)


def _after_fork_in_child() -> None:
    global _lock, _portal
    _lock = threading.Lock()
    if _portal is not None:
        _inherited.append(_portal)
        _portal = None


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
