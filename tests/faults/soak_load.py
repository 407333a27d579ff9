"""The load of a soak: clients that play, raise, hang, give up, vanish and idle, for as long as they are told to."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx
from players import Player

from openenv_async.errors import (
    CapacityError,
    ConnectFailed,
    EnvironmentFailed,
    SessionBroken,
    SessionLost,
    StepTimeout,
)

EXPECTED = (CapacityError, ConnectFailed, SessionBroken, SessionLost, StepTimeout, httpx.HTTPError)
"""What a network of this kind does to those who use it. Anything else is a finding."""

CALL_S = 3.0
LANES = 8


class Load:
    """`workers` tasks on each of the `urls`. `start`, `rest` and `start` again."""

    def __init__(self, urls: list[str], workers: int, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.findings: list[BaseException] = []
        self._urls, self._workers, self._seed = urls, workers, seed
        self._resting = False
        self._tasks: list[asyncio.Task[None]] = []
        self._round = 0
        self._acts: list[Callable[[str, random.Random], Awaitable[None]]] = [
            *(self._play, self._play, self._play, self._raise, self._hang),
            *(self._give_up, self._vanish, self._idle, self._json, self._http),
        ]

    def start(self) -> None:
        self._resting = False
        self._round += 1
        numbers = range(self._workers * len(self._urls))
        self._tasks = [asyncio.create_task(self._work(number), name=f"soak {number}") for number in numbers]

    async def rest(self) -> None:
        """Return when every worker has ended what it was at."""
        self._resting = True
        await asyncio.gather(*self._tasks)

    async def _work(self, number: int) -> None:
        url = self._urls[number % len(self._urls)]
        draw = random.Random(f"{self._seed}:{self._round}:{number}")
        while not self._resting:
            act = draw.choice(self._acts)
            try:
                await act(url, draw)
            except EXPECTED as exc:
                self.done[type(exc).__name__] += 1
            except Exception as exc:  # a finding
                self.findings.append(exc)
            else:
                self.done[act.__name__.strip("_")] += 1

    async def _with(self, player: Player, doing: Callable[[Player], Awaitable[None]]) -> None:
        try:
            await player.begin()
            await doing(player)
        finally:
            self.wrong += player.ledger.wrong
            if player.ledger.last_wrong:
                self.findings.append(AssertionError(player.ledger.last_wrong))
            self.done["steps"] += player.ledger.n
            await player.env.close()

    def _player(self, url: str, draw: random.Random, wire: str = "auto") -> Player:
        return Player(url, draw.randrange(LANES), wire=wire, message_timeout_s=CALL_S, connect_timeout_s=CALL_S)

    async def _play(self, url: str, draw: random.Random, wire: str = "auto") -> None:
        async def play(player: Player) -> None:
            for _ in range(draw.randrange(200)):
                await player.step(padding="x" * draw.choice([0, 10, 1000]))

        await self._with(self._player(url, draw, wire), play)

    async def _json(self, url: str, draw: random.Random) -> None:
        await self._play(url, draw, "json")

    async def _raise(self, url: str, draw: random.Random) -> None:
        async def fail(player: Player) -> None:
            for _ in range(3):
                try:
                    await player.step("raise")
                except EnvironmentFailed:
                    player.ledger.n += 1
                else:
                    self.wrong["swapped"] += 1
                await player.step()

        await self._with(self._player(url, draw), fail)

    async def _hang(self, url: str, draw: random.Random) -> None:
        async def hang(player: Player) -> None:
            try:
                await player.step("hang", timeout_s=0.1)
            except StepTimeout:
                await player.begin()
                await player.step()

        await self._with(self._player(url, draw), hang)

    async def _give_up(self, url: str, draw: random.Random) -> None:
        async def give_up(player: Player) -> None:
            try:
                async with asyncio.timeout(draw.uniform(0, 0.02)):
                    await player.step("slow")
            except TimeoutError:
                await player.begin()
                await player.step()

        await self._with(self._player(url, draw), give_up)

    async def _vanish(self, url: str, draw: random.Random) -> None:
        # Whoever runs this lets ResourceWarning pass.
        player = self._player(url, draw)
        await player.begin()
        del player

    async def _idle(self, url: str, draw: random.Random) -> None:
        async def idle(_player: Player) -> None:
            await asyncio.sleep(draw.uniform(0, 0.2))

        await self._with(self._player(url, draw), idle)

    async def _http(self, url: str, draw: random.Random) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=CALL_S, base_url=url) as http:
            for _ in range(draw.randrange(5)):
                answer = await http.post("/reset", json={"seed": 1})
                if answer.status_code != httpx.codes.OK:
                    self.done[f"HTTP {answer.status_code}"] += 1
