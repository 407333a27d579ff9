"""Combines the observers of a server's sessions, so that each session calls one.

Steps are nearly all that observers are told of, so `called` skips the observers that do not override it. A server
without observers pays nothing: its sessions have None for one.
"""

from __future__ import annotations

from collections.abc import Callable

from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.session import Session, SessionObserver

Called = Callable[[Session, int, Call, Outcome | BaseException, float], None]


class CombinedObserver(SessionObserver):
    """Several observers as one, told in the order in which they came."""

    def __init__(self, *observers: SessionObserver) -> None:
        self._observers = tuple(one for observer in observers for one in _members(observer))
        listening = [one for one in self._observers if type(one).called is not SessionObserver.called]
        self._called: tuple[Called, ...] = tuple(one.called for one in listening)
        self.wants_quick = any(one.wants_quick for one in listening)
        if len(self._called) == 1:
            self.called = self._called[0]  # type: ignore[method-assign, assignment]
        elif len(self._called) == 2:
            self.called = _both(*self._called)  # type: ignore[method-assign, assignment]

    def waiting(self, session: Session) -> None:
        for observer in self._observers:
            observer.waiting(session)

    def opened(self, session: Session) -> None:
        for observer in self._observers:
            observer.opened(session)

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        for called in self._called:
            called(session, rid, call, outcome, latency_s)

    def detached(self, session: Session) -> None:
        for observer in self._observers:
            observer.detached(session)

    def attached(self, session: Session) -> None:
        for observer in self._observers:
            observer.attached(session)

    def ended(self, session: Session, error: BaseException | None) -> None:
        for observer in self._observers:
            observer.ended(session, error)


def _both(first: Called, second: Called) -> Called:
    """Call two, as many as a server usually has: a loop over them takes as long as either."""

    def called(session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float) -> None:
        first(session, rid, call, outcome, latency_s)
        second(session, rid, call, outcome, latency_s)

    return called


def _members(observer: SessionObserver) -> tuple[SessionObserver, ...]:
    return observer._observers if isinstance(observer, CombinedObserver) else (observer,)


def combined(first: SessionObserver | None, second: SessionObserver) -> SessionObserver:
    """Return one observer that tells both; `first` may be None."""
    return second if first is None else CombinedObserver(first, second)
