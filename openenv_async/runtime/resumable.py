"""What of a session outlives its connection: the newest outcome, what is queued, and the way from one sink to another.

`session` plays the calls; `detached` knows how long it waits for its client.
"""

from __future__ import annotations

from collections import deque

from openenv_async.protocol.states import Move, SessionState, State
from openenv_async.runtime.calls import Call, Outcome
from openenv_async.runtime.sink import Sink


class Resumable:
    """The half of `Session` that is not about playing."""

    __slots__ = (
        "_aside",
        "_closing",
        "_in_flight",
        "_kept",
        "_queue",
        "_retiring",
        "_rid",
        "doing",
        "execution",
        "newest",
        "pid",
        "sink",
        "state",
        "token",
        "trace",
    )

    def __init__(self, sink: Sink) -> None:
        self.state = SessionState()
        self.sink = sink
        """Whoever hears of results now; another one after a resume."""
        self.token = ""
        """What a client must present to go on with it over another connection; empty: it ends with its own."""
        self.trace = ""
        """The W3C `traceparent` of whoever asked for it."""
        self.newest = 0
        """The highest request id that a wire with ids has submitted."""
        self._queue: deque[tuple[int, Call | Outcome | BaseException]] = deque()
        self._aside: list[tuple[int, Call | Outcome | BaseException]] = []
        self._rid = 0
        """Of the call in flight, or the last one."""
        self._kept: Outcome | BaseException | None = None
        """Its outcome, until it is acknowledged."""
        self._in_flight = False
        """A call was in flight when the connection was lost, and is still."""
        self._closing = False
        self._retiring: BaseException | None = None
        """Why it ends with its episode."""
        self.doing = ""
        """What its newest call asked for; kept for those who look on alone."""
        self.execution: str | None = None
        """Where its environment runs, once it is built."""
        self.pid: int | None = None
        """The process that its environment lives in, if that is not the server's own."""

    def _wake(self) -> None:
        """Have the session's task look at its queue."""
        raise NotImplementedError

    @property
    def working(self) -> bool:
        """A call is in flight, whoever is there to hear its outcome."""
        return self.state.now is State.BUSY or (self.state.now is State.DETACHED and self._in_flight)

    @property
    def is_leaving(self) -> bool:
        """Nothing but its environment's `close()` is between it and its slot."""
        now = self.state.now
        return now is State.CLOSED or (self._closing and not self._in_flight and now in (State.READY, State.DETACHED))

    @property
    def resumable(self) -> bool:
        """It may go on over another connection."""
        ending = self._closing or self._retiring is not None
        return bool(self.token) and not ending and self.state.now in (State.READY, State.BUSY, State.DETACHED)

    @property
    def unused(self) -> bool:
        """Nothing has been asked of it yet, and it may go on over another connection."""
        return self.newest == 0 and (self.resumable or (self.state.now is State.OPENING and not self._closing))

    def outcome_of(self, rid: int) -> Outcome | BaseException | None:
        """Give the outcome of a request again; None when it is still to come, was acknowledged or cancelled."""
        return self._kept if rid == self._rid else None

    def awaits(self, rid: int) -> bool:
        """Say whether the outcome of the newest request is still to come."""
        return rid != self._rid or self.state.now is State.BUSY

    def holds(self, rid: int) -> bool:
        """Say whether request `rid` is queued or being played, and its payload is held for it."""
        if rid == self._rid:
            return self.state.now is State.BUSY or (self.state.now is State.DETACHED and self._in_flight)
        return any(rid == queued for queued, _ in (*self._queue, *self._aside))

    @property
    def in_flight(self) -> int | None:
        """The id of the request that is being played; None: none is."""
        return self._rid if self.holds(self._rid) else None

    def acknowledge(self, rid: int) -> None:
        """The outcome of `rid` has arrived and will not be asked for again."""
        if rid == self._rid:
            self._kept = None

    def detach(self, sink: Sink) -> None:
        """Its connection is lost: the call in flight goes on, what is queued waits for `attach`.

        Args:
            sink: hears of what happens meanwhile; outcomes are kept for `outcome_of` besides.
        """
        self._in_flight = self.state.now is State.BUSY
        self.state.move(Move.LOSE)
        self.sink = sink
        self._aside = list(self._queue)
        self._queue.clear()

    def attach(self, sink: Sink) -> None:
        """Go on with another connection, after `detach` or instead of the one that it still has."""
        if self.state.now is State.DETACHED:
            self.state.move(Move.RESUME_BUSY if self._in_flight else Move.RESUME)
            self._queue.extend(self._aside)
            self._aside.clear()
            self._wake()
        self.sink = sink
