"""The places of one native connection: which session answers to which of the client's numbers.

Owns who may sit down. `native` moves the frames.
"""

from __future__ import annotations

from openenv_async.errors import CapacityError, EnvError, RemoteProtocolError
from openenv_async.runtime.session import Session


class Seat:
    """A session's place on this connection."""

    __slots__ = ("opened", "resumed", "session", "sid")

    def __init__(self, sid: int, session: Session, *, resumed: bool = False) -> None:
        self.sid = sid
        self.session = session
        self.opened = resumed
        """The client knows that the session is open."""
        self.resumed = resumed
        """The session came from another connection: its newest request may be asked again."""


class Seats:
    """The sessions of one connection, by the client's number and by themselves."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last_sid = 0
        self.by_sid: dict[int, Seat] = {}
        self.by_session: dict[Session, Seat] = {}

    def refuse(self, sid: int) -> EnvError | None:
        """Say why the client may not use this number for one more session; None: it may, and then has."""
        if sid <= self._last_sid:
            return RemoteProtocolError(f"session {sid} came after session {self._last_sid}; ids only grow")
        self._last_sid = sid
        if len(self.by_sid) >= self._most:
            text = f"this connection holds {self._most} sessions, the most it may"
            return CapacityError(text, active_sessions=self._most, max_sessions=self._most)
        return None

    def sit(self, seat: Seat) -> None:
        """Take a session in."""
        self.by_sid[seat.sid] = self.by_session[seat.session] = seat

    def leave(self, session: Session) -> Seat:
        """The session has ended or gone to another connection."""
        seat = self.by_session.pop(session)
        self.by_sid.pop(seat.sid, None)
        return seat
