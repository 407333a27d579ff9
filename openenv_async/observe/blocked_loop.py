"""Finds the call that blocks an event loop, and the author's line, from the stack of the loop's thread.

The stack is read from another thread, only when the loop is late already; nothing is recorded beforehand.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from types import FrameType
from typing import NamedTuple

from openenv_async.runtime.current_session import SESSIONS, Ids, ids_of

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_RUNTIME = os.path.join(_OURS, "runtime", "")


def _places(*names: str) -> tuple[str, ...]:
    return tuple({os.path.join(path, "") for name in names if (path := sysconfig.get_path(name))})


_INSTALLED = _places("purelib", "platlib")
_STANDARD = _places("stdlib", "platstdlib")


_WAITING = frozenset({"select", "poll", "_run_once", "run_forever", "run_until_complete", "run"})
"""Functions of an event loop that is idle or schedules work."""


class Culprit(NamedTuple):
    """The code that blocks a loop."""

    call: str
    """The outermost of the author's functions, e.g. `MyEnvironment.step`; empty if none of them runs."""

    where: str
    """The innermost line of the author's code, `path:line in function`; without any, the innermost of all."""

    ids: Ids | None
    """Session and request of the call."""

    def __str__(self) -> str:
        """Return the description used in the middle of a log line."""
        who = f"by {self.call}()" if self.call else "by the server's own work or code that it calls"
        whose = f" in session {self.ids.session_id}" if self.ids else ""
        request = f", request {self.ids.request_id}" if self.ids and self.ids.request_id else ""
        return f"{who}{whose}{request} ({self.where})"


def find_culprit(loop: asyncio.AbstractEventLoop, thread_id: int) -> Culprit | None:
    """Return what a loop's thread runs now; None if the loop is idle."""
    frame = sys._current_frames().get(thread_id)
    if frame is None or (frame.f_code.co_name in _WAITING and _is_standard(frame)):
        return None
    innermost, theirs = frame, _authors(frame)
    task = _task(loop)
    name = task.get_name().removeprefix("openenv session ") if task is not None else ""
    ids = ids_of(name) if name in SESSIONS else None
    if not theirs:
        return Culprit("", _line(innermost), ids)
    return Culprit(theirs[-1].f_code.co_qualname, _line(theirs[0]), ids)


def _authors(frame: FrameType | None) -> list[FrameType]:
    """Return the author's frames, the innermost first.

    These are called by the runtime and belong neither to the standard library nor to an installed package. Frames of
    installed packages count if there are no others, as an environment may be a package too.
    """
    within: list[FrameType] = []
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        if not _is_standard(frame):
            within.append(frame)
        frame = frame.f_back
    if frame is None:
        return []
    theirs = [each for each in within if not each.f_code.co_filename.startswith(_INSTALLED)]
    return theirs or (within if frame.f_code.co_filename.startswith(_RUNTIME) else [])


def _is_standard(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith("<frozen") or (name.startswith(_STANDARD) and not name.startswith(_INSTALLED))


def _task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
