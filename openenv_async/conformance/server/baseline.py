"""The checks of `openenv check` that are safe for a server in use: honest clients, a few sessions, nothing left behind.

Most of them are those of `openenv validate`, judged by what a trainer may expect.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from openenv_async.client.options import WireChoice
from openenv_async.conformance.findings import CheckOutcome, Latency, NotJudged, PromiseBroken, skipped
from openenv_async.conformance.server import bad_messages, checks
from openenv_async.conformance.server.context import FREED_WITHIN_S, ServerContext, close_client
from openenv_async.conformance.server.episodes import Moment, first_difference, look, play_on
from openenv_async.conformance.server.raw_socket import error_in, open_session, open_socket, request
from openenv_async.conformance.target import SEED
from openenv_async.errors import CapacityError, EnvError, EnvironmentFailed, InvalidMessage
from openenv_async.transport.link import LinkClosed

STEPS = 6
"""Of the reference episode, if the environment plays on for as long."""

TIMED_STEPS = 100
TIMED_S = 2.0

_POLL_S = 0.1


async def play(context: ServerContext) -> CheckOutcome:
    """Play an episode, and keep the actions that were played."""
    # A server with one slot may still be freeing that of the first look at it.
    client = await context.open_client()
    began = time.monotonic()
    try:
        reset = await checks.check_reset(client)
        steps = await checks.check_step(context, client)
        context.step_s = (time.monotonic() - began) / (2 + len(context.actions))
        if steps.result == "failed":
            return steps
        if not context.actions:
            return skipped(steps.sentence)
        await checks.check_state(client)
    finally:
        await close_client(client)
    return CheckOutcome(f"{reset.sentence}; {steps.sentence}")


async def seed(context: ServerContext) -> CheckOutcome:
    """Play one episode twice on each wire; the first of each is the reference of every later check."""
    steps = 0
    for wire in context.wires:
        first, ignored = await _episode(context, wire)
        context.references[wire] = first
        second, _ = await _episode(context, wire)
        if ignored:
            return skipped("the environment takes no seed, and the server says so")
        if differs := first_difference(first, second, lengths=True):
            raise PromiseBroken("the same episode both times, or a warning that seeds are ignored", differs)
        steps = len(first) - 1
        same_states = first_difference(first, second, state=True) is None
        context.state_repeats = (wire == "json" or context.state_repeats) and same_states
    context.repeatable = True
    return CheckOutcome(f"{steps} steps gave the same observations, rewards and ends both times")


async def _episode(context: ServerContext, wire: WireChoice) -> tuple[list[Moment], bool]:
    client = await context.open_client(wire)
    try:
        first = await client.reset(seed=SEED)
        moments = [await look(client, first)]
        began = time.monotonic()
        await play_on(client, moments, (context.actions * STEPS)[:STEPS])
        # Two calls to a moment.
        context.step_s = max(context.step_s, (time.monotonic() - began) / max(1, len(moments) - 1) / 2)
    finally:
        await close_client(client)
    return moments, any("seed" in text for text in first.warnings)


async def wrong_action(context: ServerContext) -> CheckOutcome:
    """Send actions that do not fit; where the schema rules nothing out, they are the environment's to refuse."""
    outcome = await bad_messages.check_bad_action(context)
    if outcome.result != "warned":
        return outcome
    schema = context.schemas["action"]
    strict = isinstance(schema, dict) and (schema.get("required") or schema.get("additionalProperties") is False)
    return CheckOutcome(outcome.sentence, "failed" if strict else "skipped")


async def leaving(context: ServerContext) -> CheckOutcome:
    """Drop a session's socket without a close message, and check that its slot is freed."""
    expected = "the slot is free within seconds"
    before = (await context.occupancy()).active
    leaver = await context.open_session()
    try:
        full = before is None and await _is_full(context)
    finally:
        leaver.cut("FIN")
    if before is not None:
        left = await context.falls_to(before)
        if left is not None and left > before:
            text = f"{FREED_WITHIN_S:g} s later it counts {left} sessions, where there were {before}"
            raise PromiseBroken(expected, text)
        return CheckOutcome(f"the server counted {before} sessions before and after")
    if not full:
        return skipped("the server does not say how many sessions it holds; --chaos fills it and counts")
    deadline = time.monotonic() + FREED_WITHIN_S
    while await _is_full(context):
        if time.monotonic() > deadline:
            raise PromiseBroken(expected, f"{FREED_WITHIN_S:g} s later the server was still full")
        await asyncio.sleep(_POLL_S)
    context.capacity = 1
    return CheckOutcome("the server's one free slot was taken, left without a close message, and freed")


async def _is_full(context: ServerContext) -> bool:
    try:
        raw = await open_session(context.target)
    except CapacityError:
        return True
    await raw.close()
    return False


async def lost_socket(context: ServerContext) -> CheckOutcome:
    """Step on over a new socket of the JSON wire, as OpenEnv's own client does, without a reset."""
    async with context.session() as raw:
        await raw.call("step", context.actions[0])
        raw.cut("RST")
    said = await _step_on_a_new_socket(context)
    if said is None:
        return CheckOutcome("the server ends a session that begins with a step")
    if said.get("type") == "error":
        error = error_in(said)
        return CheckOutcome(f"a step on a new socket is refused: {error.code}: {str(error)[:100]}")
    if said.get("warnings"):
        return CheckOutcome("a step on a new socket is played in a new environment, and the reply says so")
    if context.repeatable and len(context.reference) > 2:
        observation = (said.get("data") or {}).get("observation")
        if observation == context.reference[2].observation != context.reference[1].observation:
            return CheckOutcome("a step on a new socket goes on in the same episode")
    text = "a step on a new socket, with no reset before it, was played in a fresh environment as if nothing were wrong"
    raise PromiseBroken("an error, a warning in the reply, or the same episode", text)


async def _step_on_a_new_socket(context: ServerContext) -> dict[str, Any] | None:
    deadline = time.monotonic() + FREED_WITHIN_S
    while True:
        raw = await open_socket(context.target)
        try:
            said = await raw.ask(request("step", context.actions[0]))
        except LinkClosed:
            return None
        finally:
            raw.cut("FIN")
        # Where there is one slot only, that of the cut session may take a moment to be freed.
        if said.get("type") != "error" or not isinstance(error_in(said), CapacityError):
            return said
        if time.monotonic() > deadline:
            raise NotJudged("the server has no slot for a second session")
        await asyncio.sleep(_POLL_S)


async def measure(context: ServerContext) -> Latency | None:
    """Time steps of one session with nothing else going on."""
    client = await context.open_client()
    took: list[float] = []
    deadline = time.monotonic() + TIMED_S
    try:
        done = False
        while len(took) < TIMED_STEPS and time.monotonic() < deadline:
            if done:
                await client.reset(seed=SEED)
            began = time.perf_counter()
            try:
                done = (await client.step(context.actions[len(took) % len(context.actions)])).done
            except (EnvironmentFailed, InvalidMessage):
                done = True
            took.append(time.perf_counter() - began)
    finally:
        await close_client(client)
    return Latency.of(took)


async def unreachable(context: ServerContext) -> str | None:
    """Return why the server does not answer; None when it does."""
    try:
        answer = await context.target.get("/health")
    except (httpx.HTTPError, OSError, EnvError) as error:
        return str(error) or type(error).__name__
    return None if answer.status_code < 500 else f"/health answers {answer.status_code}"
