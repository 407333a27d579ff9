"""What the checks of one server know of it, one from the other, and how they begin sessions on it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from openenv_async.checking.episodes import Moment, counts_steps
from openenv_async.checking.sockets import RawSocket, open_socket
from openenv_async.checking.verdicts import NotJudged
from openenv_async.client.options import WireChoice
from openenv_async.errors import CapacityError
from openenv_async.protocol.frames import Hello
from openenv_async.transport.link import LinkClosed
from openenv_async.validation.playing import SEED, Player
from openenv_async.validation.subject import Client, Subject

FREED_WITHIN_S = 10.0
"""Seconds in which the place of a client that has gone must be free."""

_PLACE_WAIT_S = 1.5
_POLL_S = 0.05
_CLOSE_WAIT_S = 5.0

_ACTIVE_KEYS = ("active", "active_sessions")
_MOST_KEYS = ("max", "max_sessions", "max_concurrent_envs")


@dataclass(frozen=True, slots=True)
class Places:
    """How full the server says it is."""

    active: int | None = None
    most: int | None = None


@dataclass
class World:
    """One server under examination."""

    subject: Subject
    most_sessions: int = 64
    """Sessions held at once at most, whatever the server would take."""

    schemas: dict[str, Any] = field(default_factory=dict)
    hello: Hello | None = None
    references: dict[WireChoice, list[Moment]] = field(default_factory=dict)
    """By wire, an episode with nothing going on beside it. The wires carry arrays and numbers differently."""

    repeatable: bool = False
    """The same seed and actions gave the reference again."""

    state_repeats: bool = False
    """So did the state."""

    places: int | None = None
    """Sessions it was seen to hold; None: more than were tried, or nobody tried yet."""

    crowded: bool = False
    """Whoever wanted a place last waited for it in vain."""

    resting: int | None = None
    """Sessions that the server counts between the checks; None: it does not say."""

    step_s: float = 0.0
    """The slowest step of the calm."""

    def __post_init__(self) -> None:
        """Make the player, whose `good` actions are those that the environment took."""
        self.player = Player(self.subject, self.schemas)

    @property
    def actions(self) -> list[Any]:
        """Actions that the environment has played. There is one at least once `play` has held."""
        return self.player.good

    @property
    def wires(self) -> list[WireChoice]:
        """The wires that the server speaks."""
        return ["json"] if self.hello is None else ["json", "native"]

    @property
    def wire(self) -> WireChoice:
        """The one that an honest client would take."""
        return self.wires[-1]

    @property
    def reference(self) -> list[Moment]:
        """The reference of the JSON wire."""
        return self.references.get("json", [])

    @property
    def resumes(self) -> bool:
        """The server says that sessions survive their sockets, on the native wire."""
        return self.hello is not None and "resume" in self.hello.features

    @property
    def patience_s(self) -> float:
        """Seconds in which an honest client must be served while others misbehave."""
        return max(2.0, 10 * self.step_s)

    @property
    def place_wait_s(self) -> float:
        """Seconds that the place of whoever has just left may take; less than `patience_s`."""
        # Where the last one waited in vain, the places are more likely lost than late.
        return (_PLACE_WAIT_S + 2 * self.step_s) * (0.2 if self.crowded else 1)

    @contextlib.asynccontextmanager
    async def socket(self) -> AsyncIterator[RawSocket]:
        """A socket of the JSON wire, with an episode begun on it; it is dropped at the end, if nobody closed it.

        Raises:
            NotJudged: there is no place for it.
        """
        raw = await self.begun()
        try:
            yield raw
        finally:
            raw.cut("FIN")

    async def begun(self) -> RawSocket:
        """Begin an episode; places of clients that have just left may take a moment."""
        deadline = time.monotonic() + self.place_wait_s
        while True:
            try:
                raw = await begin(self.subject)
            except CapacityError as error:
                if time.monotonic() > deadline:
                    self.crowded = True
                    raise NotJudged(f"there is no place for one more session now: {error}") from None
                await asyncio.sleep(_POLL_S)
            else:
                self.crowded = False
                return raw

    async def good_client(self, wire: WireChoice | None = None, url: str | None = None) -> Client:
        """Open an honest client with an episode begun.

        Args:
            wire: that it speaks; by default the best.
            url: to reach the server by, e.g. a relay's.

        Raises:
            NotJudged: there is no place for it.
        """
        deadline = time.monotonic() + self.place_wait_s
        while True:
            client = self._client(wire or self.wire, url)
            try:
                await client.open()
                await client.reset(seed=SEED)
            except CapacityError as error:
                await end(client)
                if time.monotonic() > deadline:
                    raise NotJudged(f"there is no place for one more session now: {error}") from None
                await asyncio.sleep(_POLL_S)
            except BaseException:
                await end(client)
                raise
            else:
                return client

    def _client(self, wire: WireChoice, url: str | None) -> Client:
        if url is None:
            return self.subject.client(wire)
        return Subject(url=url, token=self.subject.token, call_timeout_s=self.subject.call_timeout_s).client(wire)

    async def told(self) -> Places:
        """Ask the server how full it is: `/capacity`, then `/health`, `/metadata`, and its hello."""
        for path in ("/capacity", "/health", "/metadata"):
            try:
                answer = await self.subject.get(path)
                said = answer.json() if answer.status_code == 200 else None
            except (httpx.HTTPError, ValueError, RecursionError):
                continue
            if isinstance(said, dict) and (most := _number(said, _MOST_KEYS)) is not None:
                return Places(_number(said, _ACTIVE_KEYS), most)
        most = None if self.hello is None else self.hello.limits.get("max_sessions")
        return Places(None, most if isinstance(most, int) else None)

    async def falls_to(self, active: int, within_s: float = FREED_WITHIN_S) -> int | None:
        """Wait until the server counts no more than so many sessions.

        Returns:
            What it counted last; None when it does not say.
        """
        deadline = time.monotonic() + within_s
        while True:
            now = (await self.told()).active
            if now is None or now <= active or time.monotonic() > deadline:
                return now
            await asyncio.sleep(_POLL_S)

    def same(self, moments: list[Moment], wire: WireChoice = "json") -> str | None:
        """Name where an episode differs from the reference of its wire."""
        for number, (seen, due) in enumerate(zip(moments, self.references[wire], strict=False)):
            if differs := due.differs(seen, state=self.state_repeats):
                return f"step {number}: {differs}" if number else f"reset: {differs}"
        return None

    def tells_steps_apart(self) -> bool:
        """Whether a step too many or too few would show: by `step_count`, or as no two moments are the same."""
        if len(self.reference) < 3:
            return False
        pairs = list(zip(self.reference, self.reference[1:], strict=False))
        if counts_steps(self.reference):
            return True
        return self.repeatable and all(a.differs(b, state=self.state_repeats) for a, b in pairs)


async def begin(subject: Subject) -> RawSocket:
    """Open a socket of the JSON wire and begin an episode on it.

    Raises:
        CapacityError: the server is full, and says so.
        EnvError, LinkRefused, LinkClosed, OSError: it could not be done.
    """
    raw = await open_socket(subject)
    try:
        await raw.call("reset", {"seed": SEED})
    except BaseException:
        raw.cut("FIN")
        raise
    return raw


async def end(client: Client) -> None:
    """Close a client, but wait for no server."""
    with contextlib.suppress(TimeoutError, LinkClosed):
        async with asyncio.timeout(_CLOSE_WAIT_S):
            await client.close()


async def reset_soon(world: World, client: Client) -> None:
    """Begin an episode in a new session; the place of the one that was lost may take a moment to be free.

    Raises:
        CapacityError: it was not free in time.
    """
    deadline = time.monotonic() + world.place_wait_s
    while True:
        try:
            await client.reset(seed=SEED)
        except CapacityError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_S)
        else:
            return


def _number(said: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    found = (said.get(key) for key in keys)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)
