"""What the checks of one server know of it, one from the other, and how they begin sessions on it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from openenv_async.client.options import WireChoice
from openenv_async.conformance.findings import CheckOutcome, NotJudged
from openenv_async.conformance.server.episodes import Moment, counts_steps, first_difference
from openenv_async.conformance.server.raw_socket import RawSocket, open_session
from openenv_async.conformance.target import SEED, Client, ServerTarget
from openenv_async.errors import CapacityError
from openenv_async.protocol.frames import Hello
from openenv_async.transport.link import LinkClosed

T = TypeVar("T")

FREED_WITHIN_S = 10.0
"""Seconds in which the slot of a client that has gone must be free."""

POLL_S = 0.05

_SLOT_WAIT_S = 1.5
_CLOSE_WAIT_S = 5.0

_ACTIVE_KEYS = ("active", "active_sessions")
_MOST_KEYS = ("max", "max_sessions", "max_concurrent_envs")


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full the server says it is."""

    active: int | None = None
    most: int | None = None


@dataclass
class ServerContext:
    """One server under examination."""

    target: ServerTarget
    most_sessions: int = 64
    """Sessions held at once at most, whatever the server would accept."""

    schemas: dict[str, Any] = field(default_factory=dict)
    hello: Hello | None = None
    actions: list[Any] = field(default_factory=list)
    """Actions that the environment has played."""

    references: dict[WireChoice, list[Moment]] = field(default_factory=dict)
    """By wire, an episode with nothing else going on. The wires carry arrays and numbers differently."""

    repeatable: bool = False
    """The same seed and actions gave the same episode again."""

    state_repeats: bool = False
    """So did the state."""

    capacity: int | None = None
    """Sessions it was seen to hold; None: more than were tried, or not tried yet."""

    crowded: bool = False
    """The last wait for a slot was in vain."""

    idle_sessions: int | None = None
    """Sessions that the server counts between the checks; None: it does not say."""

    step_s: float = 0.0
    """The slowest step with nothing else going on."""

    @property
    def wires(self) -> list[WireChoice]:
        """The wires that the server speaks."""
        return ["json"] if self.hello is None else ["json", "native"]

    @property
    def wire(self) -> WireChoice:
        """The wire that an honest client would choose."""
        return self.wires[-1]

    @property
    def reference(self) -> list[Moment]:
        """The reference of the JSON wire."""
        return self.references.get("json", [])

    @property
    def resumes(self) -> bool:
        """The server says that sessions survive a lost connection, on the native wire."""
        return self.hello is not None and "resume" in self.hello.features

    @property
    def patience_s(self) -> float:
        """Seconds in which an honest client must be served while others misbehave."""
        return max(2.0, 10 * self.step_s)

    @property
    def slot_wait_s(self) -> float:
        """Seconds that the slot of a client that has just left may take to be freed; less than `patience_s`."""
        # Where the last wait was in vain, the slots are more likely lost than late.
        return (_SLOT_WAIT_S + 2 * self.step_s) * (0.2 if self.crowded else 1)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[RawSocket]:
        """A socket of the JSON wire with an episode begun on it; it is dropped at the end, if it is still open.

        Raises:
            NotJudged: the server is full.
        """
        raw = await self.open_session()
        try:
            yield raw
        finally:
            raw.cut("FIN")

    async def open_session(self) -> RawSocket:
        """Begin an episode on a socket of the JSON wire.

        Raises:
            NotJudged: the server is full.
        """
        try:
            raw = await self.when_free(lambda: open_session(self.target))
        except CapacityError as error:
            self.crowded = True
            raise NotJudged(f"the server has no slot for one more session now: {error}") from None
        self.crowded = False
        return raw

    async def open_client(self, wire: WireChoice | None = None, url: str | None = None) -> Client:
        """Open an honest client and begin an episode.

        Args:
            wire: that it speaks; by default the best.
            url: to reach the server by, e.g. a proxy's.

        Raises:
            NotJudged: the server is full.
        """
        target = self.target if url is None else replace(self.target, url=url)

        async def opened() -> Client:
            client = target.client(wire or self.wire)
            try:
                await client.open()
                await client.reset(seed=SEED)
            except BaseException:
                await close_client(client)
                raise
            return client

        try:
            return await self.when_free(opened)
        except CapacityError as error:
            raise NotJudged(f"the server has no slot for one more session now: {error}") from None

    async def when_free(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until the server has a slot: that of a client that has just left may take a moment.

        Raises:
            CapacityError: it had none in time.
        """
        deadline = time.monotonic() + self.slot_wait_s
        while True:
            try:
                return await call()
            except CapacityError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_S)

    async def occupancy(self) -> Occupancy:
        """Ask the server how full it is: `/capacity`, then `/health`, `/metadata`, and its hello."""
        for path in ("/capacity", "/health", "/metadata"):
            try:
                answer = await self.target.get(path)
                said = answer.json() if answer.status_code == 200 else None
            except (httpx.HTTPError, ValueError, RecursionError):
                continue
            if isinstance(said, dict) and (most := _number(said, _MOST_KEYS)) is not None:
                return Occupancy(_number(said, _ACTIVE_KEYS), most)
        most = None if self.hello is None else self.hello.limits.get("max_sessions")
        return Occupancy(None, most if isinstance(most, int) else None)

    async def falls_to(self, active: int, within_s: float = FREED_WITHIN_S) -> int | None:
        """Wait until the server counts no more than so many sessions.

        Returns:
            What it counted last; None when it does not say.
        """
        deadline = time.monotonic() + within_s
        while True:
            now = (await self.occupancy()).active
            if now is None or now <= active or time.monotonic() > deadline:
                return now
            await asyncio.sleep(POLL_S)

    def differs_from_reference(self, moments: list[Moment], wire: WireChoice = "json") -> str | None:
        """Return where an episode differs from the reference of its wire."""
        return first_difference(self.references[wire], moments, state=self.state_repeats)

    def tells_steps_apart(self) -> bool:
        """Whether a step too many or too few would show: by `step_count`, or as all moments are different."""
        if len(self.reference) < 3:
            return False
        pairs = list(zip(self.reference, self.reference[1:], strict=False))
        if counts_steps(self.reference):
            return True
        return self.repeatable and all(a.differs(b, state=self.state_repeats) for a, b in pairs)


ContextCheck = Callable[[ServerContext], Awaitable[CheckOutcome]]


async def close_client(client: Client) -> None:
    """Close a client, with a limit on the time that the server may take to confirm."""
    with contextlib.suppress(TimeoutError, LinkClosed):
        async with asyncio.timeout(_CLOSE_WAIT_S):
            await client.close()


def _number(said: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    found = (said.get(key) for key in keys)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), None)
