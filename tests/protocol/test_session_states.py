"""The table of a session's moves: every legal one, every illegal one, and what the table as a whole promises."""

from __future__ import annotations

import pytest

from openenv_async.errors import LocalProtocolError
from openenv_async.protocol.session_states import MOVES, Move, SessionState, State

LEGAL = [(state, move) for state in State for move in MOVES[state]]
ILLEGAL = [(state, move) for state in State for move in Move if move not in MOVES[state]]


def session_in(wanted: State) -> SessionState:
    """Reach a state by legal moves only, the shortest way."""
    ways: dict[State, list[Move]] = {State.OPENING: []}
    frontier = [State.OPENING]
    while frontier:
        here = frontier.pop(0)
        for move, there in MOVES[here].items():
            if there not in ways:
                ways[there] = [*ways[here], move]
                frontier.append(there)
    session = SessionState()
    for move in ways[wanted]:
        session.move(move)
    return session


def test_the_table_names_every_state() -> None:
    assert set(MOVES) == set(State)


def test_a_session_begins_opening() -> None:
    assert SessionState().now is State.OPENING


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_can_be_reached(state: State) -> None:
    assert session_in(state).now is state


@pytest.mark.parametrize(("state", "move"), LEGAL, ids=lambda item: item.name)
def test_a_legal_move_arrives(state: State, move: Move) -> None:
    session = session_in(state)
    assert session.may(move)
    assert session.move(move) is MOVES[state][move]
    assert session.now is MOVES[state][move]


@pytest.mark.parametrize(("state", "move"), ILLEGAL, ids=lambda item: item.name)
def test_an_illegal_move_raises_and_changes_nothing(state: State, move: Move) -> None:
    session = session_in(state)
    assert not session.may(move)
    with pytest.raises(LocalProtocolError, match=f"{state.name} cannot {move.name}"):
        session.move(move)
    assert session.now is state


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED], ids=lambda s: s.name)
def test_every_living_session_can_be_closed(state: State) -> None:
    assert session_in(state).move(Move.CLOSE) is State.CLOSED


def test_closed_is_the_end() -> None:
    assert MOVES[State.CLOSED] == {}


def test_only_a_ready_session_takes_a_call() -> None:
    assert [state for state in State if Move.CALL in MOVES[state]] == [State.READY]
