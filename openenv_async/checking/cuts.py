"""Sockets that are cut while a step is on its way, on each wire the server speaks.

An honest client plays through a relay. Its rules are strict: a call ends with its one
result or with `SessionLost`, and only a reset goes on after that. Whether a step was
played once is told by the reference episode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from openenv_async.checking.episodes import Moment, counts_steps, look, play_on
from openenv_async.checking.relay import Relay, relaying
from openenv_async.checking.sockets import CUTS, Cut
from openenv_async.checking.verdicts import Broke, NotJudged
from openenv_async.checking.world import World, end, reset_soon
from openenv_async.client.options import WireChoice
from openenv_async.errors import EnvError, SessionLost
from openenv_async.results import StepResult
from openenv_async.validation.playing import SEED
from openenv_async.validation.subject import Client

_LOUD = "SessionLost from the step and from every call after it, until a reset"
_ONCE = "the session is resumed, and the step is played exactly once"


async def cut_json(world: World) -> str:
    """Cut sessions of the JSON wire, which cannot be resumed."""
    return await _cut_each(world, "json")


async def cut_native(world: World) -> str:
    """Cut sessions of the native wire."""
    if world.hello is None:
        raise NotJudged("the server does not speak the native wire")
    return await _cut_each(world, "native")


async def _cut_each(world: World, wire: WireChoice) -> str:
    resumes = wire == "native" and world.resumes
    for how in CUTS:
        for answered in (True, False):
            async with relaying(world.subject.url) as relay:
                await _cut_one(world, relay, wire, how, answered=answered, resumes=resumes)
    if not resumes:
        return "cut by FIN and by RST, before and after the answer: the client is told that its session is lost"
    once = "each step was played once" if world.tells_steps_apart() else "how often a step was played cannot be told"
    return f"cut by FIN and by RST, before and after the answer: resumed each time, and {once}"


async def _cut_one(world: World, relay: Relay, wire: WireChoice, how: Cut, *, answered: bool, resumes: bool) -> None:
    """Play, cut one step, and play on.

    Args:
        world: the server.
        relay: what to cut.
        wire: to speak.
        how: to cut.
        answered: the server's answer is there, and lost; otherwise the cut comes as soon as the request has passed.
        resumes: the server promises to.
    """
    client = await world.good_client(wire, relay.url)
    try:
        actions = (world.actions * 4)[:4]
        reset = await client.reset(seed=SEED)
        moments = [await look(client, reset)]
        await play_on(client, moments, actions[:1])
        if moments[-1].done:
            raise NotJudged("the environment's episodes are over after one step")
        where = f"{how} {'after' if answered else 'before'} the answer"
        outcome = await _step_and_cut(world, relay, client, actions[1], how, answered=answered)
        if isinstance(outcome, StepResult):
            moments.append(await look(client, outcome))
            await play_on(client, moments, actions[2:])
            _judge_resumed(world, moments, where)
        elif isinstance(outcome, SessionLost):
            if resumes:
                raise Broke(_ONCE, f"{where}: {outcome}")
            await _judge_lost(world, client, actions[1], where)
        else:
            raise Broke(_ONCE if resumes else _LOUD, f"{where}: {type(outcome).__name__}: {outcome}")
    finally:
        await end(client)


async def _step_and_cut(
    world: World, relay: Relay, client: Client, action: Any, how: Cut, *, answered: bool
) -> StepResult[Any] | EnvError:
    relay.swallow()
    step = asyncio.ensure_future(client.step(action))
    try:
        happened = relay.answered if answered else relay.asked
        await happened(world.patience_s)
        relay.cut(how)
        return await step
    except EnvError as error:
        return error
    finally:
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)


def _judge_resumed(world: World, moments: list[Moment], where: str) -> None:
    """Judge an episode whose second step was cut."""
    if world.repeatable and (differs := world.same(moments, "native")):
        raise Broke(_ONCE, f"{where}: the episode is not the one it should be: {differs}")
    if counts_steps(moments[:2]) and not counts_steps(moments):
        counts = ", ".join(str(moment.state.get("step_count")) for moment in moments)
        raise Broke(_ONCE, f"{where}: the state counts steps {counts}")


async def _judge_lost(world: World, client: Client, action: Any, where: str) -> None:
    calls: dict[str, Callable[[], Awaitable[Any]]] = {"step": lambda: client.step(action), "state": client.state}
    for name, call in calls.items():
        try:
            await call()
        except SessionLost:
            continue
        raise Broke(_LOUD, f"{where}: the next {name}() was answered as if nothing had happened")
    await reset_soon(world, client)
