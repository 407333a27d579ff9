"""What may be asked of a server in production: honest clients, a few sessions, nothing left behind.

Most of it is `validation`'s; this module makes verdicts of what that says.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from openenv_async.checking.episodes import Moment, look, play_on
from openenv_async.checking.sockets import error_in, open_socket, request
from openenv_async.checking.verdicts import Broke, Latency, NotJudged, latency_of
from openenv_async.checking.world import FREED_WITHIN_S, World, begin, end
from openenv_async.client.options import WireChoice
from openenv_async.errors import CapacityError, EnvError, EnvironmentFailed, InvalidMessage
from openenv_async.transport.link import LinkClosed
from openenv_async.validation.endpoints import check_health, check_schema
from openenv_async.validation.playing import SEED
from openenv_async.validation.raw import check_bad_action
from openenv_async.validation.recorder import Said
from openenv_async.validation.sessions import check_sessions

STEPS = 6
"""Of the reference episode, if the environment plays on for as long."""

TIMED_STEPS = 100
TIMED_S = 2.0

_POLL_S = 0.1


async def health(world: World) -> str:
    """Ask whether it is well."""
    return _verdict(await check_health(world.subject), "an answer 200 whose status is healthy")


async def schema(world: World) -> str:
    """Ask for the schemas, and keep them for those who make actions."""
    return _verdict(await check_schema(world.subject, world.schemas), "JSON Schemas of action, observation and state")


async def play(world: World) -> str:
    """Play an episode, and keep the actions that were taken."""
    # A server with one place may still be giving up that of the first look at it.
    client = await world.good_client()
    began = time.monotonic()
    try:
        reset = _verdict(await world.player.check_reset(client), "an observation", warned=None)
        said = await world.player.check_step(client)
        world.step_s = (time.monotonic() - began) / (2 + len(world.actions))
        steps = _verdict(said, "at least one of the actions made from the schema is played", warned=None)
        if not world.actions:
            raise NotJudged(steps)
        await world.player.check_state(client)
    finally:
        await end(client)
    return f"{reset}; {steps}"


async def seed(world: World) -> str:
    """Play one episode twice on each wire; the first of each is the reference of every later check."""
    steps = 0
    for wire in world.wires:
        first, ignored = await _episode(world, wire)
        world.references[wire] = first
        second, _ = await _episode(world, wire)
        if ignored:
            raise NotJudged("the environment takes no seed, and the server says so")
        differs = _difference(first, second)
        if differs is not None:
            expected = "the same observations, rewards and ends both times, or a warning that seeds are ignored"
            raise Broke(expected, differs)
        steps = len(first) - 1
        pairs = zip(first, second, strict=True)
        world.state_repeats = (wire == "json" or world.state_repeats) and not any(a.differs(b) for a, b in pairs)
    world.repeatable = True
    return f"{steps} steps gave the same observations, rewards and ends both times"


def _difference(first: list[Moment], second: list[Moment]) -> str | None:
    for number, (one, two) in enumerate(zip(first, second, strict=False)):
        if differs := one.differs(two, state=False):
            return f"step {number}: {differs}" if number else f"reset: {differs}"
    if len(first) != len(second):
        return f"episodes of {len(first) - 1} and of {len(second) - 1} steps"
    return None


async def _episode(world: World, wire: WireChoice) -> tuple[list[Moment], bool]:
    client = await world.good_client(wire)
    try:
        first = await client.reset(seed=SEED)
        moments = [await look(client, first)]
        began = time.monotonic()
        await play_on(client, moments, (world.actions * STEPS)[:STEPS])
        # Two calls to a moment.
        world.step_s = max(world.step_s, (time.monotonic() - began) / max(1, len(moments) - 1) / 2)
    finally:
        await end(client)
    return moments, any("seed" in text for text in first.warnings)


async def mixing(world: World) -> str:
    """Play two sessions in turns."""
    world.player.repeatable = world.repeatable
    return _verdict(await check_sessions(world.player), "each session sees its own episode alone")


async def wrong_action(world: World) -> str:
    """Send actions that do not fit."""
    strict = _says_what_fits(world.schemas["action"])
    expected = "an error that names what is wrong, and the session lives"
    return _verdict(await check_bad_action(world.player), expected, warned=expected if strict else None, judge=strict)


async def leaving(world: World) -> str:
    """Drop a session's socket without a word, and look whether its place is free again."""
    before = (await world.told()).active
    leaver = await world.begun()
    try:
        full = await _is_full(world) if before is None else False
    finally:
        leaver.cut("FIN")
    if before is not None:
        left = await world.falls_to(before)
        if left is not None and left > before:
            text = f"{FREED_WITHIN_S:g} s later it counts {left} sessions, where there were {before}"
            raise Broke("the place is free within seconds", text)
        return f"the server counted {before} sessions before and after"
    if not full:
        raise NotJudged("the server does not say how many sessions it holds; --chaos fills it and counts")
    deadline = time.monotonic() + FREED_WITHIN_S
    while await _is_full(world):
        if time.monotonic() > deadline:
            raise Broke("the place is free within seconds", f"{FREED_WITHIN_S:g} s later the server still was full")
        await asyncio.sleep(_POLL_S)
    world.places = 1
    return "the server's one free place was taken, left without a word, and free again"


async def _is_full(world: World) -> bool:
    try:
        raw = await begin(world.subject)
    except CapacityError:
        return True
    await raw.close()
    return False


async def lost_socket(world: World) -> str:
    """Step on over a new socket of the JSON wire, as OpenEnv's own client does, without a reset."""
    expected = "an error, a warning in the reply, or the same episode"
    async with world.socket() as raw:
        await raw.call("step", world.actions[0])
        raw.cut("RST")
    said = await _step_on_a_new_socket(world)
    if said is None:
        return "the server ends a session that begins with a step"
    if said.get("type") == "error":
        error = error_in(said)
        return f"a step on a new socket is refused: {error.code}: {str(error)[:100]}"
    if said.get("warnings"):
        return "a step on a new socket is played in a new environment, and the reply says so"
    text = "a step on a new socket, with no reset before it, was played in a fresh environment as if nothing were wrong"
    if world.repeatable and len(world.reference) > 2:
        observation = (said.get("data") or {}).get("observation")
        if observation == world.reference[2].observation != world.reference[1].observation:
            return "a step on a new socket goes on in the same episode"
    raise Broke(expected, text)


async def _step_on_a_new_socket(world: World) -> dict[str, Any] | None:
    deadline = time.monotonic() + FREED_WITHIN_S
    while True:
        raw = await open_socket(world.subject)
        try:
            said = await raw.ask(request("step", world.actions[0]))
        except LinkClosed:
            return None
        finally:
            raw.cut("FIN")
        # Where there is one place only, that of the cut session may take a moment to be free.
        if said.get("type") != "error" or not isinstance(error_in(said), CapacityError):
            return said
        if time.monotonic() > deadline:
            raise NotJudged("there is no place for a second session")
        await asyncio.sleep(_POLL_S)


async def measure(world: World) -> Latency | None:
    """Time steps of one session with nothing beside it."""
    client = await world.good_client()
    took: list[float] = []
    deadline = time.monotonic() + TIMED_S
    try:
        done = False
        while len(took) < TIMED_STEPS and time.monotonic() < deadline:
            if done:
                await client.reset(seed=SEED)
            began = time.perf_counter()
            try:
                done = (await client.step(world.actions[len(took) % len(world.actions)])).done
            except (EnvironmentFailed, InvalidMessage):
                done = True
            took.append(time.perf_counter() - began)
    finally:
        await end(client)
    return latency_of(took)


def _verdict(said: Said, expected: str, *, warned: str | None = None, judge: bool = True) -> str:
    """Make a verdict of what a check of `validation` says.

    Args:
        said: by that check.
        expected: for what failed.
        warned: for what it warns of; None: that is good enough.
        judge: whether a warning that is not good enough is one to judge by.
    """
    if said.result == "failed":
        raise Broke(expected, said.sentence)
    if said.result == "skipped" or (said.result == "warned" and not judge):
        raise NotJudged(said.sentence)
    if said.result == "warned" and warned is not None:
        raise Broke(warned, said.sentence)
    return said.sentence


def _says_what_fits(schema: Any) -> bool:
    """Whether the schema rules anything out, so that a wrong action is the server's to refuse."""
    return isinstance(schema, dict) and (bool(schema.get("required")) or schema.get("additionalProperties") is False)


async def answers(world: World) -> str | None:
    """Ask whether the server is there at all; give what is wrong."""
    try:
        answer = await world.subject.get("/health")
    except (httpx.HTTPError, OSError, EnvError) as error:
        return str(error) or type(error).__name__
    return None if answer.status_code < 500 else f"/health answers {answer.status_code}"
