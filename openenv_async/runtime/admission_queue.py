"""The waiting room: a number of slots, and a fair queue for those who find them all taken.

Owns who gets the next slot. Each party, usually a connection, has a queue of its
own, and freed slots go round the parties: whoever wants a thousand sessions at
once does not put somebody's single one behind all of them. Within one party the
order is that of arrival. Knows nothing of sessions; `registry` holds them.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openenv_async.errors import CapacityError

MOST_ENDS = 32
"""Releases of slots that the estimate of the next ones is made from."""

UNKNOWN_RETRY_S = 1.0
"""What a refused client is told to wait when too few slots were freed to say."""

MOST_RETRY_S = 300.0
LEAST_RETRY_S = 0.05


class WaitingRoom:
    """Slots, and those who wait for one. `async with slot(...)` holds one.

    Args:
        slots: how many there are.
        most_waiting: how many may wait; beyond it somebody is refused at once.
    """

    def __init__(self, slots: int, most_waiting: int) -> None:
        self.slots = slots
        self.most_waiting = most_waiting
        self.held = 0
        self.waiting = 0
        # Parties in the order of their turns; ordered dicts, because a vanished connection's
        # thousands of waiters leave one by one, each from the middle.
        self._queues: OrderedDict[object, OrderedDict[asyncio.Future[bool], None]] = OrderedDict()
        self._freed: deque[float] = deque(maxlen=MOST_ENDS)

    @asynccontextmanager
    async def slot(self, party: object, wait_s: float) -> AsyncIterator[None]:
        """Hold a slot; while it waits for one, a cancelled caller leaves the queue.

        Args:
            party: among whom slots go round; any hashable object.
            wait_s: seconds to wait; 0 refuses at once.

        Raises:
            CapacityError: no slot came in time, or too many wait already.
        """
        if self.held < self.slots and not self.waiting:
            self.held += 1
        else:
            await self._wait(party, wait_s)
        try:
            yield
        finally:
            self._freed.append(asyncio.get_running_loop().time())
            self._pass_on()

    def retry_after_s(self) -> float:
        """Estimate how long a newcomer would wait: from how often slots were freed of late, and who is before it."""
        if not self.waiting and self.held < self.slots:
            return 0.0
        if len(self._freed) < 2:
            return UNKNOWN_RETRY_S
        # Up to now and not to the last release: when nothing is freed any more, the estimate grows.
        interval = (asyncio.get_running_loop().time() - self._freed[0]) / (len(self._freed) - 1)
        return round(min(MOST_RETRY_S, max(LEAST_RETRY_S, interval * (self.waiting + 1))), 2)

    def refusal(self) -> CapacityError:
        """Make the error for a client that gets no slot. The sentence is OpenEnv's."""
        return CapacityError(
            f"Server at capacity: {self.held}/{self.slots} sessions active. Cannot accept new connections.",
            active_sessions=self.held,
            max_sessions=self.slots,
            waiting=self.waiting,
            retry_after_s=self.retry_after_s() or UNKNOWN_RETRY_S,
        )

    async def _wait(self, party: object, wait_s: float) -> None:
        if not wait_s > 0:  # NaN too
            raise self.refusal()
        if self.waiting >= self.most_waiting:
            self._make_room(party)
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(party, OrderedDict())[waiter] = None
        self.waiting += 1
        try:
            async with asyncio.timeout(None if math.isinf(wait_s) else wait_s):
                got_one = await waiter
        except BaseException as exc:
            if waiter.done() and not waiter.cancelled():
                # The slot came in the same turn as the timeout or the cancellation.
                if waiter.result():
                    self._pass_on()
            else:
                self._leave(party, waiter)
            if isinstance(exc, TimeoutError):
                raise self.refusal() from None
            raise
        if not got_one:
            raise self.refusal()

    def _leave(self, party: object, waiter: asyncio.Future[bool]) -> None:
        queue = self._queues.get(party)
        if queue is None or waiter not in queue:
            return
        del queue[waiter]
        self.waiting -= 1
        if not queue:
            del self._queues[party]

    def _pass_on(self) -> None:
        """Give a slot that has become free to whoever is next, or back."""
        while self._queues:
            party, queue = next(iter(self._queues.items()))
            waiter = next(iter(queue))
            self._leave(party, waiter)
            if not waiter.done():
                if queue:
                    self._queues.move_to_end(party)
                waiter.set_result(True)
                return
        self.held -= 1

    def _make_room(self, party: object) -> None:
        """Full: whoever wants the most gives up its latest wish, which may be the newcomer's own.

        Raises:
            CapacityError: the newcomer's party has the most waiting.
        """
        greedy = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[greedy]) <= len(self._queues.get(party, ())) + 1:
            raise self.refusal()
        latest = next(reversed(self._queues[greedy]))
        self._leave(greedy, latest)
        if not latest.done():
            latest.set_result(False)
