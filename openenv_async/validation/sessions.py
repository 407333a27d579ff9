"""Sessions beside each other, and their end: nothing is shared, and every place is given back."""

from __future__ import annotations

import asyncio
import contextlib
import time

from openenv_async.errors import CapacityError, EnvironmentFailed
from openenv_async.validation.comparing import difference, different_result
from openenv_async.validation.playing import SEED, Player
from openenv_async.validation.raw import begin
from openenv_async.validation.recorder import Said, failed, skipped, warned
from openenv_async.validation.subject import Client, Subject

FREED_WITHIN_S = 10.0
"""Seconds in which the place of a client that vanished must be free."""

SLOW_CLOSE_S = 4.5
"""The client waits five for the server to confirm."""

_POLL_S = 0.05


async def check_sessions(player: Player) -> Said:
    """Play two sessions at once, over OpenEnv's wire: it says so when there is no place, and the native one waits."""
    subject = player.subject
    if subject.max_sessions == 1:
        return skipped("the server holds one session at a time")
    async with subject.client("json") as one, subject.client("json") as two:
        first = await one.reset(seed=SEED)
        try:
            second = await two.reset(seed=SEED)
        except CapacityError:
            return skipped("the server holds no second session now (CAPACITY_REACHED)")
        before, again = await two.state(), await two.state()
        mine = await player.play(one, first.done)
        after = await two.state()
        if difference(before, again) is None and (differs := difference(before, after, "state")):
            text = f"steps of one session changed another's state: {differs}"
            return failed(text, "keep an episode's values in `self`, not in the class or the module")
        theirs = await player.play(two, second.done)
        if player.repeatable:
            pairs = zip([first, *mine], [second, *theirs], strict=False)
            differs = next((found for a, b in pairs if (found := different_result(a, b))), None)
            if differs:
                text = f"what one session did changed what another saw: {differs}"
                return failed(text, "keep an episode's values in `self`, not in the class or the module")
        await asyncio.gather(_one_more(one, player), _one_more(two, player))
    return Said(sentence="two sessions at once, and neither saw anything of the other")


async def _one_more(client: Client, player: Player) -> None:
    await client.reset(seed=SEED)
    for action in player.good[:1]:
        with contextlib.suppress(EnvironmentFailed):
            await client.step(action)


async def check_close(subject: Subject) -> Said:
    """End sessions and take their places again."""
    if subject.mine and subject.max_sessions is not None and subject.max_sessions <= 4:
        return await _check_full(subject, subject.max_sessions)
    client = await _opened(subject)
    began = time.monotonic()
    await client.close()
    took = time.monotonic() - began
    await (await _opened(subject)).close()
    if took > SLOW_CLOSE_S:
        return warned(f"the server did not confirm the end of a session within {SLOW_CLOSE_S:g} s")
    return Said(sentence=f"a session ended within {took:.2f} s, and another began after it")


async def _check_full(subject: Subject, places: int) -> Said:
    async with contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(subject.client("json")) for _ in range(places)]
        for client in held:
            await client.reset(seed=SEED)
        if await _fits(subject):
            return failed(f"the server is to hold {places} sessions and let one more in")
        began = time.monotonic()
        await held[0].close()
        took = time.monotonic() - began
        if not await _fits(subject):
            return failed(
                "close() of a client did not free its place on the server", "does close() of the environment end?"
            )
        link = await begin(subject)
        # Without a word, as a client that is killed.
        await link.aclose()
        freed = await _fits_within(subject, FREED_WITHIN_S)
        if not freed:
            text = f"a client vanished, and {FREED_WITHIN_S:g} s later its place was not free"
            return failed(text, "does close() of the environment end?")
    return Said(
        sentence=f"a full server took a new session when one was closed, and when a client vanished ({took:.2f} s)"
    )


async def _opened(subject: Subject) -> Client:
    client = subject.client()
    try:
        await client.open()
        await client.reset(seed=SEED)
    except BaseException:
        await client.close()
        raise
    return client


async def _fits(subject: Subject) -> bool:
    """Whether one more session fits; it is closed again."""
    async with subject.client("json") as client:
        try:
            await client.reset(seed=SEED)
        except CapacityError:
            return False
    return True


async def _fits_within(subject: Subject, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not await _fits(subject):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
