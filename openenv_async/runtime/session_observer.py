"""Who looks on while sessions are played: metrics, logs, recordings, traces.

Owns the contract and the fan-out. `registry` tells of a session's beginning and end,
`session` of its calls; neither knows what comes of it. A server without watchers pays
nothing for them: its sessions hold None in place of a `Watch`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from openenv_async.runtime.calls import Call, Outcome

if TYPE_CHECKING:
    from openenv_async.runtime.session import Session


class Sink(Protocol):
    """Where a session's results go: one connection, or one HTTP request."""

    def opened(self, session: Session) -> None:
        """The environment is built."""

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """Request `rid` has ended. Must not raise; may give something to wait for before the next call."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """The session is over: its environment is closed and its slot is free. Must not raise."""


class Watch:
    """Hears of everything that happens to the sessions of one server. Override what is of interest.

    Called on the server's event loop, between one call and the next: a method must neither
    wait nor raise.
    """

    hears_quick = True
    """Wants to be told of quick steps too (`tally.QUICK_S`) that went well: nearly all that there is to hear, and what
    a session keeps of them may be enough."""

    def waiting(self, session: Session) -> None:
        """It has been asked for, and waits for a slot or for its environment to be built."""

    def opened(self, session: Session) -> None:
        """Its environment is built."""

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        """A call has ended; its outcome is about to be delivered, unless its caller cancelled it.

        Args:
            session: whose.
            rid: the id of the request, as the client knows it.
            call: what was asked.
            outcome: what came of it, `CallCancelled` and errors included.
            latency_s: seconds from its turn to its end, without the time in the session's queue.
        """

    def detached(self, session: Session) -> None:
        """Its connection is lost, and it waits for its client."""

    def attached(self, session: Session) -> None:
        """Its client has come back over another connection."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """It is over: its environment is closed, or was never built."""


class Watches(Watch):
    """Several that look on as one, in the order in which they came."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = tuple(one for watch in watches for one in _members(watch))
        # Calls are what there is most of: who hears nothing of them is not told.
        listening = tuple(watch.called for watch in self._watches if type(watch).called is not Watch.called)
        self._listening = listening
        self.hears_quick = any(watch.hears_quick for watch in self._watches if type(watch).called is not Watch.called)
        if len(listening) == 1:
            self.called = listening[0]  # type: ignore[method-assign]
        elif len(listening) == 2:
            self.called = _both(listening[0], listening[1])  # type: ignore[method-assign, assignment]

    def waiting(self, session: Session) -> None:
        """See `Watch.waiting`."""
        for watch in self._watches:
            watch.waiting(session)

    def opened(self, session: Session) -> None:
        """See `Watch.opened`."""
        for watch in self._watches:
            watch.opened(session)

    def called(
        self, session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float
    ) -> None:
        """See `Watch.called`."""
        for called in self._listening:
            called(session, rid, call, outcome, latency_s)

    def detached(self, session: Session) -> None:
        """See `Watch.detached`."""
        for watch in self._watches:
            watch.detached(session)

    def attached(self, session: Session) -> None:
        """See `Watch.attached`."""
        for watch in self._watches:
            watch.attached(session)

    def ended(self, session: Session, error: BaseException | None) -> None:
        """See `Watch.ended`."""
        for watch in self._watches:
            watch.ended(session, error)


Called = Callable[["Session", int, Call, "Outcome | BaseException", float], None]


def _both(first: Called, second: Called) -> Called:
    """Tell two, as a server's usual ones are: a loop over them costs as much as either."""

    def called(session: Session, rid: int, call: Call, outcome: Outcome | BaseException, latency_s: float) -> None:
        first(session, rid, call, outcome, latency_s)
        second(session, rid, call, outcome, latency_s)

    return called


def _members(watch: Watch) -> tuple[Watch, ...]:
    return watch._watches if isinstance(watch, Watches) else (watch,)


def together(first: Watch | None, second: Watch) -> Watch:
    """Give one watch that tells both; `first` may be none."""
    return second if first is None else Watches(first, second)
