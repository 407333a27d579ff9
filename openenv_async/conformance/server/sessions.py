"""Concurrent sessions and their end: nothing is shared, and every slot is freed."""

from __future__ import annotations

import asyncio
import contextlib
import time

from openenv_async.conformance.comparing import difference
from openenv_async.conformance.findings import CheckOutcome, failed, skipped, warned
from openenv_async.conformance.server.context import FREED_WITHIN_S, POLL_S, ServerContext
from openenv_async.conformance.server.episodes import first_difference, look, play_on
from openenv_async.conformance.server.raw_socket import open_session
from openenv_async.conformance.target import SEED, Client, ServerTarget
from openenv_async.errors import CapacityError, EnvironmentFailed

SLOW_CLOSE_S = 4.5
"""The client waits five seconds for the server to confirm."""

_MOST_FILLED = 4
_END_HINT = "does close() of the environment end?"


async def check_sessions(context: ServerContext) -> CheckOutcome:
    """Play two sessions at once on the JSON wire, which refuses at once when the server is full."""
    target = context.target
    if target.max_sessions == 1:
        return skipped("the server holds one session at a time")
    async with target.client("json") as one, target.client("json") as two:
        mine = [await look(one, await one.reset(seed=SEED), state=False)]
        try:
            theirs = [await look(two, await two.reset(seed=SEED), state=False)]
        except CapacityError:
            return skipped("the server holds no second session now (CAPACITY_REACHED)")
        before, again = await two.state(), await two.state()
        await play_on(one, mine, context.actions, state=False)
        after = await two.state()
        hint = "keep an episode's values in `self`, not in the class or the module"
        if difference(before, again) is None and (differs := difference(before, after, "state")):
            return failed(f"steps of one session changed another's state: {differs}", hint)
        await play_on(two, theirs, context.actions, state=False)
        if context.repeatable and (differs := first_difference(mine, theirs)):
            return failed(f"what one session did changed what another saw at {differs}", hint)
        await asyncio.gather(_one_more(one, context), _one_more(two, context))
    return CheckOutcome("two sessions at once, and neither saw anything of the other")


async def _one_more(client: Client, context: ServerContext) -> None:
    await client.reset(seed=SEED)
    for action in context.actions[:1]:
        with contextlib.suppress(EnvironmentFailed):
            await client.step(action)


async def check_close(target: ServerTarget) -> CheckOutcome:
    """End sessions, and begin others in their slots."""
    if target.started_here and target.max_sessions is not None and target.max_sessions <= _MOST_FILLED:
        return await _check_full(target, target.max_sessions)
    client = await _opened(target)
    began = time.monotonic()
    await client.close()
    took = time.monotonic() - began
    await (await _opened(target)).close()
    if took > SLOW_CLOSE_S:
        return warned(f"the server did not confirm the end of a session within {SLOW_CLOSE_S:g} s")
    return CheckOutcome(f"a session ended within {took:.2f} s, and another began after it")


async def _check_full(target: ServerTarget, slots: int) -> CheckOutcome:
    async with contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(target.client("json")) for _ in range(slots)]
        for client in held:
            await client.reset(seed=SEED)
        if await _fits(target):
            return failed(f"the server is to hold {slots} sessions and accepted one more")
        began = time.monotonic()
        await held[0].close()
        took = time.monotonic() - began
        if not await _fits(target):
            return failed("close() of a client did not free its slot on the server", _END_HINT)
        # Without a close message, as a client that is killed.
        (await open_session(target)).cut("FIN")
        deadline = time.monotonic() + FREED_WITHIN_S
        while not await _fits(target):
            if time.monotonic() > deadline:
                text = f"a client vanished, and {FREED_WITHIN_S:g} s later its slot was not free"
                return failed(text, _END_HINT)
            await asyncio.sleep(POLL_S)
    return CheckOutcome(
        f"a full server took a new session when one was closed, and when a client vanished ({took:.2f} s)"
    )


async def _opened(target: ServerTarget) -> Client:
    client = target.client()
    try:
        await client.open()
        await client.reset(seed=SEED)
    except BaseException:
        await client.close()
        raise
    return client


async def _fits(target: ServerTarget) -> bool:
    """Whether one more session fits; it is closed again."""
    async with target.client("json") as client:
        try:
            await client.reset(seed=SEED)
        except CapacityError:
            return False
    return True
