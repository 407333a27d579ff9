"""Who holds up an event loop: the call at work and the author's line, read off the loop's thread from outside.

Nothing is recorded beforehand: a stack is looked at when the loop is late already.
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
"""Functions of an event loop that has nothing to do, or hands out work."""


class Culprit(NamedTuple):
    """What holds up a loop."""

    call: str
    """The outermost of the author's functions, e.g. `MyEnvironment.step`; empty: none of them is at work."""

    where: str
    """The innermost line of the author's code, `path:line in function`; else the innermost of all."""

    ids: Ids | None
    """Whose call it is."""

    def __str__(self) -> str:
        """Say who it is, for the middle of a sentence."""
        who = f"by {self.call}()" if self.call else "by the server's own work or code that it calls"
        whose = f" in session {self.ids.session_id}" if self.ids else ""
        request = f", request {self.ids.request_id}" if self.ids and self.ids.request_id else ""
        return f"{who}{whose}{request} ({self.where})"


def find_culprit(loop: asyncio.AbstractEventLoop, thread_id: int) -> Culprit | None:
    """Look at what a loop's thread does now; None when it waits, as an idle loop does."""
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
    """Give the author's frames, the innermost first.

    They are within the runtime's, and neither the standard library's nor an installed package's, unless there is
    nothing else: an environment may be a package too.
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
