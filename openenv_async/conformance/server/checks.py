"""Every check of `openenv validate` on a running server, in the order in which one builds on the other.

Here are those that play: reset, steps with actions made from the schema, the state, and
the same episode again by its seed.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import anyio

from openenv_async.conformance.findings import CheckOutcome, failed, warned
from openenv_async.conformance.runner import Runner
from openenv_async.conformance.schema.actions import CannotGenerate, actions
from openenv_async.conformance.server.bad_messages import check_bad_action, check_bad_frame
from openenv_async.conformance.server.context import ServerContext
from openenv_async.conformance.server.endpoints import check_health, check_metadata, check_schema
from openenv_async.conformance.server.episodes import Moment, first_difference, look, play_on
from openenv_async.conformance.server.sessions import check_close, check_sessions
from openenv_async.conformance.target import SEED, Client, ServerTarget
from openenv_async.errors import EnvironmentFailed, InvalidMessage

NAMES = (
    *("health", "schema", "metadata", "wire", "reset", "step"),
    *("state", "seed", "sessions", "bad frame", "bad action", "close"),
)
"""In their order."""

STEPS = 3
TRIES = 8
"""Actions made until `STEPS` of them were played."""

_OTHER_SEED = SEED + 1
_CLOSE_WAIT_S = 1.0


async def check_running(target: ServerTarget, runner: Runner) -> None:
    """Run every check against a server."""
    with warnings.catch_warnings():
        # Clients warn when a server did not do as asked; here that is a finding.
        warnings.simplefilter("ignore")
        await _check(ServerContext(target), runner)


async def _check(context: ServerContext, runner: Runner) -> None:
    await runner.run("health", lambda: check_health(context.target))
    await runner.run("schema", lambda: check_schema(context.target, context.schemas))
    await runner.run("metadata", lambda: check_metadata(context.target))
    await runner.run("wire", lambda: _check_wire(context))
    client = context.target.client()
    try:
        await runner.run("reset", lambda: check_reset(client), "wire")
        await runner.run("step", lambda: check_step(context, client), "reset", "schema")
        await runner.run("state", lambda: check_state(client), "reset")
    finally:
        # A session whose environment hangs does not end by itself, and there is no need to wait for it.
        with anyio.move_on_after(_CLOSE_WAIT_S):
            await client.close()
    await runner.run("seed", lambda: _check_seed(context), "reset")
    await runner.run("sessions", lambda: check_sessions(context), "reset", "step", "state")
    await runner.run("bad frame", lambda: check_bad_frame(context.target), "reset", "state")
    await runner.run("bad action", lambda: check_bad_action(context), "reset", "state", "schema")
    await runner.run("close", lambda: check_close(context.target), "reset")


async def _check_wire(context: ServerContext) -> CheckOutcome:
    target = context.target
    context.hello = hello = await target.hello()
    if hello is None:
        return CheckOutcome("the server speaks OpenEnv's JSON")
    most = hello.limits.get("max_sessions")
    holds = (
        f"{most} sessions, few for these checks" if target.started_here and target.max_sessions else f"{most} sessions"
    )
    if target.max_sessions is None and isinstance(most, int):
        context.target = replace(target, max_sessions=most)
    return CheckOutcome(f"the server speaks the native wire (version {hello.version}), and holds {holds}")


async def check_reset(client: Client) -> CheckOutcome:
    """Begin an episode."""
    await client.open()
    result = await client.reset(seed=SEED)
    sentence = f"reset returns an observation with {_keys(result.observation)}"
    if result.done:
        return warned(f"{sentence}, and the episode is over before it began", "reset must not return done=True")
    return CheckOutcome(sentence)


async def check_step(context: ServerContext, client: Client) -> CheckOutcome:
    """Play actions made from the schema, and remember those that were played."""
    try:
        made = actions(context.schemas["action"], TRIES)
    except CannotGenerate as error:
        return warned(f"no action could be made: {error}", "give the field `examples` in its schema")
    refused: list[str] = []
    rewards: list[Any] = []
    ended = False
    for action in made:
        if ended:
            await client.reset(seed=SEED)
            ended = False
        try:
            result = await client.step(action)
        except (EnvironmentFailed, InvalidMessage) as error:
            refused.append(f"{_short(action)}: {error}")
            continue
        context.actions.append(action)
        rewards.append(result.reward)
        ended = result.done
        if len(context.actions) == STEPS:
            break
    if not context.actions:
        hint = "let the schema say what is legal (an enumeration, bounds, examples), or answer with an observation"
        return failed(f"every action made from the schema failed: {refused[0]}", hint, *refused[1:])
    played = f"{len(context.actions)} actions made from the schema were played, e.g. {_short(context.actions[:1])}"
    if refused:
        hint = "let the schema say what is legal, or answer an illegal action with an observation"
        return warned(f"{played}; {len(refused)} failed: {refused[0]}", hint, *refused[1:])
    return CheckOutcome(played, details=(f"rewards: {', '.join(map(_number, rewards))}",))


async def check_state(client: Client) -> CheckOutcome:
    """Read the state."""
    state = await client.state()
    if not isinstance(state, dict):
        return failed(f"the state is a {type(state).__name__}, not an object")
    return CheckOutcome(f"state returns {_keys(state)}")


async def _check_seed(context: ServerContext) -> CheckOutcome:
    """Play the same episode twice, and one of another seed."""
    one, ignored = await _episode(context, SEED)
    two, _ = await _episode(context, SEED)
    if ignored:
        return warned("the environment ignores the seed", "accept `seed` in reset(), so that episodes can be repeated")
    if differs := first_difference(one, two, lengths=True):
        return warned(
            f"the same seed and the same actions gave something else at {differs}",
            "draw every random number from a generator that reset() seeds",
        )
    context.repeatable = True
    other, _ = await _episode(context, _OTHER_SEED)
    same = first_difference(one, other, lengths=True) is None
    end = "and so did another seed" if same else "and another seed gave others"
    return CheckOutcome(f"the same seed and the same actions gave the same observations, {end}")


async def _episode(context: ServerContext, seed: int) -> tuple[list[Moment], bool]:
    """Play an episode in a session of its own; also return whether the seed was ignored."""
    async with context.target.client() as client:
        first = await client.reset(seed=seed)
        moments = [await look(client, first, state=False)]
        await play_on(client, moments, context.actions, state=False)
    return moments, any("seed" in text for text in first.warnings)


def _keys(value: Any) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return ", ".join(map(str, value)) or "no fields"


def _number(reward: Any) -> str:
    return f"{reward:g}" if isinstance(reward, float) else str(reward)


def _short(action: Any) -> str:
    text = json.dumps(action, default=repr, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
