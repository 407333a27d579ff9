"""Context variable with the id of the session whose code runs, used by log records.

A session's task, its threads and the tasks that its environment starts have it in their
context, so that it costs nothing per call; so has a process of a session.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary


class LoggedSession(Protocol):
    """What log records need of a session."""

    @property
    def in_flight(self) -> int | None:
        """The id of the call in flight; None: none is."""


SESSION: ContextVar[str] = ContextVar("openenv_session", default="")
"""The session's id. Not the session, which its own context would keep alive."""

SESSIONS: WeakValueDictionary[str, LoggedSession] = WeakValueDictionary()
"""The sessions of all servers in this process, by id."""


class Ids(NamedTuple):
    """The ids that a log record bears."""

    session_id: str
    request_id: int | None
    """Of the call in flight; None between calls, and in a session's own process."""


def ids_of(session_id: str = "") -> Ids | None:
    """Return the ids of a session, by default of the one whose code runs; None: there is none."""
    session_id = session_id or SESSION.get()
    if not session_id:
        return None
    session = SESSIONS.get(session_id)
    return Ids(session_id, None if session is None else session.in_flight)


def about(session_id: str, **fields: object) -> dict[str, object]:
    """Return the `extra` of a log record: the session's id, for where the context lacks it, and other fields."""
    return {"session_id": session_id, **fields}
