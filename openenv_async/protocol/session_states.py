"""The states of a server's session and the moves between them.

Every change of state is a move in `MOVES`; any other raises and leaves the state as it was.
"""

from __future__ import annotations

from enum import IntEnum, auto

from openenv_async.errors import LocalProtocolError


class State(IntEnum):
    """Where a session stands."""

    OPENING = auto()
    """Waiting for a slot, or its environment is being built."""
    READY = auto()
    """Nothing in flight."""
    BUSY = auto()
    """One call in flight."""
    DETACHED = auto()
    """Its connection is gone; a call may still be in flight. It resumes or is closed."""
    BROKEN = auto()
    """Its environment hung or crashed; the session ends."""
    CLOSED = auto()
    """Ended. Its slot is free or about to be."""


class Move(IntEnum):
    """What can happen to a session."""

    OPENED = auto()
    CALL = auto()
    DONE = auto()
    BREAK = auto()
    LOSE = auto()
    RESUME = auto()
    RESUME_BUSY = auto()
    CLOSE = auto()


CALL, DONE = Move.CALL, Move.DONE
"""The moves of every call; Python 3.11 takes as long to look up a member of an Enum as to make the move."""

MOVES: dict[State, dict[Move, State]] = {
    State.OPENING: {
        Move.OPENED: State.READY,
        # A client that does not know the session's id yet cannot resume it.
        Move.LOSE: State.CLOSED,
        Move.CLOSE: State.CLOSED,
    },
    State.READY: {Move.CALL: State.BUSY, Move.LOSE: State.DETACHED, Move.CLOSE: State.CLOSED},
    State.BUSY: {
        Move.DONE: State.READY,
        Move.BREAK: State.BROKEN,
        Move.LOSE: State.DETACHED,
        Move.CLOSE: State.CLOSED,
    },
    State.DETACHED: {
        Move.DONE: State.DETACHED,
        Move.BREAK: State.BROKEN,
        Move.RESUME: State.READY,
        Move.RESUME_BUSY: State.BUSY,
        Move.CLOSE: State.CLOSED,
    },
    State.BROKEN: {Move.LOSE: State.CLOSED, Move.CLOSE: State.CLOSED},
    State.CLOSED: {},
}


class SessionState:
    """One session's state. Call `move()`; read `now`."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = State.OPENING

    def move(self, move: Move) -> State:
        """Make one move; returns the new state.

        Raises:
            LocalProtocolError: the table does not have this move here; nothing changed.
        """
        target = MOVES[self.now].get(move)
        if target is None:
            raise LocalProtocolError(f"a session that is {self.now.name} cannot {move.name}")
        self.now = target
        return target

    def may(self, move: Move) -> bool:
        """Return whether the table has this move here."""
        return move in MOVES[self.now]
