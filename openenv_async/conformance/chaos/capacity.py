"""Many sessions at once: the server filled, emptied and filled again, and clients that leave in the middle of steps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from openenv_async.conformance.findings import CheckOutcome, NotJudged, PromiseBroken
from openenv_async.conformance.server.context import FREED_WITHIN_S, ContextCheck, ServerContext
from openenv_async.conformance.server.raw_socket import CUTS, RawSocket, open_session, request
from openenv_async.errors import CapacityError, EnvError
from openenv_async.transport.link import LinkClosed, LinkRefused

LEAVERS = 20

_AT_ONCE = 8
_POLL_S = 0.1


@dataclass
class _Sessions:
    """Sessions held at once, and how further ones were refused."""

    held: list[RawSocket] = field(default_factory=list)
    refusals: list[BaseException] = field(default_factory=list)

    async def close(self) -> None:
        """Close them all as honest clients do, and wait until the server has closed them."""
        held, self.held = self.held, []
        for start in range(0, len(held), _AT_ONCE):
            await asyncio.gather(*(raw.close() for raw in held[start : start + _AT_ONCE]))


async def capacity(context: ServerContext) -> CheckOutcome:
    """Open sessions until one is refused, and judge the refusal."""
    sessions = _Sessions()
    context.idle_sessions = (await context.occupancy()).active
    try:
        await _fill(context, sessions, context.most_sessions)
        if not sessions.refusals:
            told = (await context.occupancy()).most
            says = f"the server says it holds {told}" if told is not None else "the server does not say how many"
            raise NotJudged(f"{len(sessions.held)} sessions were held at once, the most of --max-sessions; {says}")
        context.capacity = len(sessions.held)
        for raw in sessions.held[:3]:
            await raw.call("step", context.actions[0])
        readable = [error for error in sessions.refusals if isinstance(error, CapacityError)]
        if len(readable) < len(sessions.refusals):
            odd = next(error for error in sessions.refusals if not isinstance(error, CapacityError))
            expected = "CAPACITY_REACHED, which a client can read and wait for"
            raise PromiseBroken(
                expected, f"with {context.capacity} sessions open, the next met {type(odd).__name__}: {odd}"
            )
        return CheckOutcome(f"{_fit(context.capacity)}, one more is refused with a reason: {readable[0]}")
    finally:
        await sessions.close()


async def capacity_back(context: ServerContext) -> CheckOutcome:
    """Fill the server once more."""
    if context.capacity is None:
        raise NotJudged("the server was not filled")
    back = await _fits(context, context.capacity)
    if back < context.capacity:
        text = f"{context.capacity} sessions fit; after they were closed, {back} do"
        raise PromiseBroken("every slot is freed", text)
    return CheckOutcome(f"{_fit(back)} again")


async def _fits(context: ServerContext, wanted: int) -> int:
    """Return how many sessions fit at once, up to `wanted`; slots of clients that have just left get their time."""
    deadline = time.monotonic() + FREED_WITHIN_S + context.step_s
    sessions = _Sessions()
    try:
        while True:
            sessions.refusals.clear()
            await _fill(context, sessions, wanted)
            if len(sessions.held) >= wanted or time.monotonic() > deadline:
                return len(sessions.held)
            await asyncio.sleep(_POLL_S)
    finally:
        await sessions.close()


async def _fill(context: ServerContext, sessions: _Sessions, wanted: int) -> None:
    """Open sessions until so many are held or one is refused."""
    while len(sessions.held) < wanted and not sessions.refusals:
        some = min(_AT_ONCE, wanted - len(sessions.held))
        for each in await asyncio.gather(*(open_session(context.target) for _ in range(some)), return_exceptions=True):
            if isinstance(each, RawSocket):
                sessions.held.append(each)
            elif isinstance(each, (EnvError, LinkClosed, LinkRefused, OSError)):
                sessions.refusals.append(each)
            else:
                raise each


def frees_slots(check: ContextCheck) -> ContextCheck:
    """Return a check that also requires every slot that it used to be freed, where the server counts its sessions."""

    async def checked(context: ServerContext) -> CheckOutcome:
        outcome = await check(context)
        before = context.idle_sessions
        left = None if before is None else await context.falls_to(before, FREED_WITHIN_S + context.step_s)
        if before is not None and left is not None and left > before:
            context.idle_sessions = left  # not the next check's fault
            text = f"{FREED_WITHIN_S:g} s later the server counts {left} sessions, where there were {before}"
            text += f" ({outcome.sentence})"
            raise PromiseBroken("every slot is freed within seconds", text)
        return outcome

    return checked


async def leaving_midstep(context: ServerContext) -> CheckOutcome:
    """Leave in the middle of steps, by FIN and by RST in turns."""
    before = context.idle_sessions
    try:
        await _leave(context)
    except NotJudged:
        # There were slots before; whether they are lost is checked below.
        if before is None and context.capacity is None:
            raise
    if before is not None:
        left = await context.falls_to(before, FREED_WITHIN_S + context.step_s)
        if left is not None and left > before:
            text = f"{LEAVERS} clients left, and {left - before} of their slots were not freed in time"
            raise PromiseBroken("every slot is freed within seconds", text)
        return CheckOutcome(
            f"{LEAVERS} clients left, and all their slots were freed: the server counts {before} as before"
        )
    if context.capacity is None:
        raise NotJudged(f"{LEAVERS} clients left; the server neither counts its sessions nor could be filled")
    back = await _fits(context, context.capacity)
    if back < context.capacity:
        text = f"{LEAVERS} clients left; {back} sessions fit now, where {context.capacity} did"
        raise PromiseBroken("every slot is freed within seconds", text)
    return CheckOutcome(f"{LEAVERS} clients left, and {_fit(back)} as before")


def _fit(sessions: int) -> str:
    return f"{sessions} sessions fit" if sessions != 1 else "1 session fits"


async def _leave(context: ServerContext) -> None:
    at_once = _AT_ONCE if context.capacity is None else max(1, min(_AT_ONCE, context.capacity // 2))
    for start in range(0, LEAVERS, at_once):
        some = range(start, min(start + at_once, LEAVERS))
        await asyncio.gather(*(_leave_one(context, number) for number in some))


async def _leave_one(context: ServerContext, number: int) -> None:
    raw = await context.open_session()
    await raw.send(request("step", context.actions[number % len(context.actions)]))
    raw.cut(CUTS[number % 2])
