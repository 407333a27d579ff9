"""Messages that no honest client would send, and actions that do not fit: the session survives them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from openenv_async.conformance.findings import CheckOutcome, failed, skipped, warned
from openenv_async.conformance.schema.actions import CannotGenerate, actions
from openenv_async.conformance.server.context import ServerContext
from openenv_async.conformance.server.raw_socket import error_in, read_object, request
from openenv_async.conformance.target import SEED, Client, ServerTarget, leave
from openenv_async.errors import CapacityError, EnvError, EnvironmentFailed, InvalidMessage, SessionLost
from openenv_async.transport.link import Link, LinkClosed

NOT_JSON = "{this is not json"
NOT_AN_OBJECT = "[1, 2]"
UNKNOWN_TYPE = '{"type": "no_such_type"}'
UNKNOWN_FIELD = "no_such_field_of_an_action"


async def check_bad_frame(target: ServerTarget) -> CheckOutcome:
    """Send malformed messages in the middle of an episode."""
    link = await target.link()
    try:
        said = await _ask(link, request("reset", {"seed": SEED}), target.call_timeout_s)
        if said.get("type") == "error":
            raise error_in(said)
        return await _send_malformed(link, target.call_timeout_s)
    except CapacityError:
        return skipped("the server holds no session for it now (CAPACITY_REACHED)")
    finally:
        await link.aclose()


async def _send_malformed(link: Link, timeout_s: float) -> CheckOutcome:
    codes: list[str] = []
    for what, text in (("what is not JSON", NOT_JSON), ("a message of an unknown type", UNKNOWN_TYPE)):
        try:
            said = await _ask(link, text, timeout_s)
            if said.get("type") != "error":
                return failed(f"{what} was answered with {said.get('type')!r}, not with an error")
            codes.append(str((said.get("data") or {}).get("code")))
            said = await _ask(link, request("state"), timeout_s)
        except LinkClosed:
            return failed(f"{what} ended the session", "answer it with an error and go on")
        if said.get("type") != "state":
            return failed(f"after {what}, the state was answered with {said.get('type')!r}")
    try:
        await _ask(link, NOT_AN_OBJECT, timeout_s)
        await _ask(link, request("state"), timeout_s)
        await leave(link)
    except LinkClosed:
        # OpenEnv's servers do this, and the environment's author cannot change it.
        return warned("JSON that is not an object ended the session; other malformed messages are answered with errors")
    return CheckOutcome(f"malformed messages are answered with errors, and the session lives ({', '.join(codes)})")


async def check_bad_action(context: ServerContext) -> CheckOutcome:
    """Step with actions that do not fit the schema, then with one that does."""
    wrong = wrong_actions(context.schemas["action"])
    reached: list[str] = []
    refused: list[str] = []
    async with context.target.client("json") as client:
        await client.reset(seed=SEED)
        for action in wrong:
            try:
                await client.step(action)
            except InvalidMessage as error:
                refused.append(f"{error.code}: {error.message}")
            except EnvironmentFailed as error:
                reached.append(str(error))
            except SessionLost as error:
                return failed(f"a wrong action ended the session: {error}")
        await _still_plays(client, context)
    if refused:
        return CheckOutcome(
            f"wrong actions are refused, and the session lives ({' '.join(refused[0].split())[:100]})",
            details=tuple(refused[1:]),
        )
    hint = "let the action's class forbid unknown fields"
    if reached:
        return warned(f"wrong actions are not refused; they reach the environment's code: {reached[0]}", hint)
    return warned("wrong actions are played as if nothing were wrong", hint)


def wrong_actions(schema: Any) -> list[Any]:
    """Return actions that do not fit: an unknown field, a value of another type, a missing field."""
    try:
        good = actions(schema, 1)[0]
    except CannotGenerate:
        good = {}
    if not isinstance(good, dict):
        return [{UNKNOWN_FIELD: 1}]
    made: list[Any] = [{**good, UNKNOWN_FIELD: 1}]
    required = [name for name in schema.get("required") or [] if name in good]
    if required:
        value = good[required[0]]
        made.append({**good, required[0]: [] if isinstance(value, dict) else {UNKNOWN_FIELD: 1}})
        made.append({key: value for key, value in good.items() if key != required[0]})
    return made


async def _still_plays(client: Client, context: ServerContext) -> None:
    await client.state()
    for action in context.actions[:1]:
        with contextlib.suppress(EnvironmentFailed):
            await client.step(action)


async def _ask(link: Link, text: str, timeout_s: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout(timeout_s):
            await link.send(text)
            return read_object(await link.receive())
    except TimeoutError:
        raise EnvError(f"no answer to {text!r} within {timeout_s:g} s") from None
