"""A number of slots, and a fair queue of sessions that wait for one.

Each party, usually a connection, has a queue of its own, and freed slots go round the parties: a party that wants
a thousand sessions does not delay another's single one by all of them. Within a party the order is that of arrival.
Knows nothing of sessions; `registry` has them.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openenv_async.errors import CapacityError

MOST_ENDS = 32
"""Releases of slots that the estimate of the next ones is based on."""

UNKNOWN_RETRY_S = 1.0
"""`retry_after_s` while too few slots have been freed for an estimate."""

MOST_RETRY_S = 300.0
LEAST_RETRY_S = 0.05


class AdmissionQueue:
    """Slots, and the queue for them. `async with slot(...)` holds one.

    Args:
        total: how many slots there are.
        most_waiting: how many sessions may wait; beyond it one is refused at once.
    """

    def __init__(self, total: int, most_waiting: int) -> None:
        self.total = total
        self.most_waiting = most_waiting
        self.held = 0
        self.waiting = 0
        # Parties in the order of their turns. Ordered dicts, because the thousands of waiters of a lost connection
        # leave one by one, each from the middle.
        self._queues: OrderedDict[object, OrderedDict[asyncio.Future[bool], None]] = OrderedDict()
        self._freed: deque[float] = deque(maxlen=MOST_ENDS)

    @asynccontextmanager
    async def slot(self, party: object, wait_s: float) -> AsyncIterator[None]:
        """Hold a slot; a caller that is cancelled while it waits for one leaves the queue.

        Args:
            party: slots go round the parties; any hashable object.
            wait_s: seconds to wait; 0 refuses at once.

        Raises:
            CapacityError: no slot came in time, or too many wait already.
        """
        if self.held < self.total and not self.waiting:
            self.held += 1
        else:
            await self._wait(party, wait_s)
        try:
            yield
        finally:
            self._freed.append(asyncio.get_running_loop().time())
            self._pass_on()

    def retry_after_s(self) -> float:
        """Estimate how long a new session would wait, from how often slots were freed recently and how many wait."""
        if not self.waiting and self.held < self.total:
            return 0.0
        if len(self._freed) < 2:
            return UNKNOWN_RETRY_S
        # Until now and not until the last release: when no slot is freed any more, the estimate grows.
        interval = (asyncio.get_running_loop().time() - self._freed[0]) / (len(self._freed) - 1)
        return round(min(MOST_RETRY_S, max(LEAST_RETRY_S, interval * (self.waiting + 1))), 2)

    def refusal(self) -> CapacityError:
        """Return the error for a client that gets no slot. The sentence is OpenEnv's."""
        return CapacityError(
            f"Server at capacity: {self.held}/{self.total} sessions active. Cannot accept new connections.",
            active_sessions=self.held,
            max_sessions=self.total,
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
                admitted = await waiter
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
        if not admitted:
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
        """Give a slot that has become free to the next waiter; without one it stays free."""
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
        """Refuse the newest waiter of the party with the most waiting.

        Raises:
            CapacityError: that is the new one itself.
        """
        largest = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[largest]) <= len(self._queues.get(party, ())) + 1:
            raise self.refusal()
        latest = next(reversed(self._queues[largest]))
        self._leave(largest, latest)
        if not latest.done():
            latest.set_result(False)
