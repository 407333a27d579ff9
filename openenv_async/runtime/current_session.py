"""Whose code is at work: the session, for whoever asks from inside what runs for it. Logs do.

A session's task, its threads and the tasks that its environment starts have it in their
context, so that it costs nothing per call; so has a process of a session.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from openenv_async.runtime.session import Session

SESSION: ContextVar[str] = ContextVar("openenv_session", default="")
"""The id of the session that the code at work belongs to. Not the session: its own context would keep it alive."""

SESSIONS: WeakValueDictionary[str, Session] = WeakValueDictionary()
"""The sessions of all servers in this process, by id."""


class Ids(NamedTuple):
    """What a line of the log is known by."""

    session_id: str
    request_id: int | None
    """Of the call in flight; None between calls, and in a session's own process."""


def ids_of(session_id: str = "") -> Ids | None:
    """Give the ids of a session, by default of the one at work; None: there is none."""
    session_id = session_id or SESSION.get()
    if not session_id:
        return None
    session = SESSIONS.get(session_id)
    return Ids(session_id, None if session is None else session.in_flight)


def about(session_id: str, **fields: object) -> dict[str, object]:
    """Give the `extra` of a line of the log: whose it is, where nothing at work says so, and its other fields."""
    return {"session_id": session_id, **fields}
