"""Many sessions at once: the server filled, emptied and filled again, and clients that leave while it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from openenv_async.checking.sockets import CUTS, RawSocket, request
from openenv_async.checking.verdicts import Broke, NotJudged
from openenv_async.checking.world import FREED_WITHIN_S, World, begin
from openenv_async.errors import CapacityError, EnvError
from openenv_async.transport.link import LinkClosed, LinkRefused

Check = Callable[[World], Awaitable[str]]

LEAVERS = 20

_AT_ONCE = 8
_POLL_S = 0.1


@dataclass
class _Crowd:
    """Sessions held at once, and how the one too many was refused."""

    held: list[RawSocket] = field(default_factory=list)
    refusals: list[BaseException] = field(default_factory=list)

    async def close(self) -> None:
        """Close them all as honest clients do, and wait until the server has."""
        held, self.held = self.held, []
        for start in range(0, len(held), _AT_ONCE):
            await asyncio.gather(*(raw.close() for raw in held[start : start + _AT_ONCE]))


async def capacity(world: World) -> str:
    """Open sessions until one is refused, and judge the refusal."""
    crowd = _Crowd()
    world.resting = (await world.told()).active
    try:
        await _fill(world, crowd, world.most_sessions)
        if not crowd.refusals:
            told = (await world.told()).most
            says = f"the server says it holds {told}" if told is not None else "the server does not say how many"
            raise NotJudged(f"{len(crowd.held)} sessions were held at once, the most of --max-sessions; {says}")
        world.places = len(crowd.held)
        for raw in crowd.held[:3]:
            await raw.call("step", world.actions[0])
        readable = [error for error in crowd.refusals if isinstance(error, CapacityError)]
        if len(readable) < len(crowd.refusals):
            odd = next(error for error in crowd.refusals if not isinstance(error, CapacityError))
            expected = "CAPACITY_REACHED, which a client can read and wait for"
            raise Broke(expected, f"with {world.places} sessions open, the next met {type(odd).__name__}: {odd}")
        return f"{_fit(world.places)}, one more is refused with words: {readable[0]}"
    finally:
        await crowd.close()


async def capacity_back(world: World) -> str:
    """Fill the server once more."""
    if world.places is None:
        raise NotJudged("the server was not filled")
    back = await _fits(world, world.places)
    if back < world.places:
        text = f"{world.places} sessions fitted; after they were closed, {back} do"
        raise Broke("every place comes back", text)
    return f"{_fit(back)} again"


async def _fits(world: World, wanted: int) -> int:
    """Give how many sessions fit at once, up to `wanted`; places of those who have just left get their time."""
    deadline = time.monotonic() + FREED_WITHIN_S + world.step_s
    crowd = _Crowd()
    try:
        while True:
            crowd.refusals.clear()
            await _fill(world, crowd, wanted)
            if len(crowd.held) >= wanted or time.monotonic() > deadline:
                return len(crowd.held)
            await asyncio.sleep(_POLL_S)
    finally:
        await crowd.close()


async def _fill(world: World, crowd: _Crowd, wanted: int) -> None:
    """Open sessions until so many are held or one is refused."""
    while len(crowd.held) < wanted and not crowd.refusals:
        some = min(_AT_ONCE, wanted - len(crowd.held))
        for each in await asyncio.gather(*(begin(world.subject) for _ in range(some)), return_exceptions=True):
            if isinstance(each, RawSocket):
                crowd.held.append(each)
            elif isinstance(each, (EnvError, LinkClosed, LinkRefused, OSError)):
                crowd.refusals.append(each)
            else:
                raise each


def gives_back(check: Check) -> Check:
    """Make a check that also wants back every place that it took, where the server counts its sessions."""

    async def checked(world: World) -> str:
        said = await check(world)
        before = world.resting
        left = None if before is None else await world.falls_to(before, FREED_WITHIN_S + world.step_s)
        if before is not None and left is not None and left > before:
            world.resting = left  # the next check is not to blame
            text = f"{FREED_WITHIN_S:g} s later the server counts {left} sessions, where there were {before} ({said})"
            raise Broke("every place comes back within seconds", text)
        return said

    return checked


async def leaving_midstep(world: World) -> str:
    """Leave in the middle of steps, by FIN and by RST in turns."""
    before = world.resting
    try:
        await _leave(world)
    except NotJudged:
        # There were places before; that there are none now is what is asked below.
        if before is None and world.places is None:
            raise
    if before is not None:
        left = await world.falls_to(before, FREED_WITHIN_S + world.step_s)
        if left is not None and left > before:
            text = f"{LEAVERS} clients left, and {left - before} of their places had not come back in time"
            raise Broke("every place comes back within seconds", text)
        return f"{LEAVERS} clients left, and all their places came back: the server counts {before} sessions as before"
    if world.places is None:
        raise NotJudged(f"{LEAVERS} clients left; the server neither counts its sessions nor could be filled")
    back = await _fits(world, world.places)
    if back < world.places:
        text = f"{LEAVERS} clients left; {back} sessions fit now, where {world.places} did"
        raise Broke("every place comes back within seconds", text)
    return f"{LEAVERS} clients left, and {_fit(back)} as before"


def _fit(sessions: int) -> str:
    return f"{sessions} sessions fit" if sessions != 1 else "1 session fits"


async def _leave(world: World) -> None:
    at_once = _AT_ONCE if world.places is None else max(1, min(_AT_ONCE, world.places // 2))
    for start in range(0, LEAVERS, at_once):
        some = range(start, min(start + at_once, LEAVERS))
        await asyncio.gather(*(_leave_one(world, number) for number in some))


async def _leave_one(world: World, number: int) -> None:
    raw = await world.begun()
    await raw.send(request("step", world.actions[number % len(world.actions)]))
    raw.cut(CUTS[number % 2])
