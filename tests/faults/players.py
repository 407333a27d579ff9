"""Clients that check every observation against their own numbers, and say what kind of wrong they saw.

lost: the environment has executed fewer steps than this client had answers for. duplicated: more.
swapped: the observation is another session's, another step's, or another environment's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from support.counting_env import CountAction, CountObservation, CountState
from support.servers import BOUND_S

from openenv_async import AsyncEnv


class CountEnv(AsyncEnv[CountAction, CountObservation, CountState]):
    pass


class Ledger:
    """What one client knows of its session, and what it saw that cannot be."""

    def __init__(self) -> None:
        self.tag = secrets.token_hex(4)
        self.name = ""
        self.n = 0
        self.wrong: Counter[str] = Counter()
        self.last_wrong = ""

    def begin(self, seen: CountObservation) -> None:
        """Take the observation of a reset."""
        if seen.tag != self.tag or seen.n or seen.count:
            self._note("swapped", seen)
        self.name, self.n = seen.name, 0

    def next(self, op: str = "", padding: str = "") -> CountAction:
        """Give the action that comes next; until it is checked, the same one."""
        return CountAction(n=self.n + 1, tag=self.tag, op=op, padding=padding)

    def check(self, seen: CountObservation, action: CountAction) -> None:
        """Take the observation of a step."""
        self.n = action.n
        if (seen.n, seen.tag, seen.name, seen.padding) != (action.n, self.tag, self.name, action.padding):
            self._note("swapped", seen)
        elif seen.count != self.n:
            self._note("lost" if seen.count < self.n else "duplicated", seen)

    def _note(self, kind: str, seen: CountObservation) -> None:
        self.wrong[kind] += 1
        mine = f"step {self.n} of {self.tag} in {self.name}"
        self.last_wrong = f"{kind}: {mine} got step {seen.n} of {seen.tag} in {seen.name}, which has made {seen.count}"


class Player:
    """One client.

    Args:
        url: of the server, or of the proxy before it.
        lane: clients with the same number share a connection.
        options: of the client.
    """

    def __init__(self, url: str, lane: int = 0, **options: Any) -> None:
        self.ledger = Ledger()
        self.env = CountEnv(url, headers={"x-lane": str(lane)}, **options)

    async def begin(self) -> None:
        """Connect, if need be, and begin an episode."""
        await self.env.open()
        self.ledger.begin((await self.env.reset(tag=self.ledger.tag)).observation)

    async def step(self, op: str = "", padding: str = "", timeout_s: float | None = None) -> None:
        action = self.ledger.next(op, padding)
        self.ledger.check((await self.env.step(action, timeout_s=timeout_s)).observation, action)

    async def play(self, over: Callable[[], bool], draw: random.Random, most_steps: int = 1_000_000) -> None:
        """Step until it is over, and three times more; one step in ten is longer than a small chunk.

        Raises:
            AssertionError: an observation that cannot be.
        """
        left = 3
        while left and self.ledger.n < most_steps:
            left -= over()
            await self.step(padding="x" * draw.choice([0] * 9 + [5000]))
            assert not self.ledger.wrong, self.ledger.last_wrong


@contextlib.asynccontextmanager
async def players(url: str, count: int, per_lane: int = 10, **options: Any) -> AsyncIterator[list[Player]]:
    """Give so many clients, each at the beginning of an episode."""
    made = [Player(url, number // per_lane, **options) for number in range(count)]
    try:
        async with asyncio.timeout(4 * BOUND_S):
            await asyncio.gather(*(player.begin() for player in made))
        yield made
    finally:
        async with asyncio.timeout(BOUND_S):
            await asyncio.gather(*(player.env.close() for player in made), return_exceptions=True)


def known(made: Sequence[Player]) -> dict[str, int]:
    """Give the steps of each session, as its client counted them."""
    return {player.ledger.tag: player.ledger.n for player in made}


def judge(made: Sequence[Player], executed: dict[str, int]) -> Counter[str]:
    """Give what all clients saw that cannot be, together with what the server counted that they did not."""
    wrong: Counter[str] = Counter()
    for player in made:
        wrong += player.ledger.wrong
        more = executed.get(player.ledger.tag, 0) - player.ledger.n
        wrong["executed unseen" if more > 0 else "seen unexecuted"] += abs(more)
    return +wrong
