"""Messages that no client would send: what is malformed gets an error, and the session lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from openenv_async.errors import CapacityError, EnvError, EnvironmentFailed, InvalidMessage, SessionLost, from_wire
from openenv_async.transport.link import Link, LinkClosed
from openenv_async.validation.generating import CannotGenerate, actions
from openenv_async.validation.playing import SEED, Player
from openenv_async.validation.recorder import Said, failed, skipped, warned
from openenv_async.validation.subject import Client, Subject, leave

_BAD = (
    ("what is no JSON", "{this is no json"),
    ("a message of no known type", '{"type": "no_such_type"}'),
)
_NO_OBJECT = "[1, 2]"
_STRANGE = "no_such_field_of_an_action"


async def begin(subject: Subject) -> Link:
    """Open a session of OpenEnv's wire without a client, and begin an episode.

    Raises:
        EnvError: the server refused it.
    """
    link = await subject.link()
    try:
        said = await _ask(link, f'{{"type": "reset", "data": {{"seed": {SEED}}}}}', subject.call_timeout_s)
        if said.get("type") == "error":
            data = said.get("data") or {}
            raise from_wire(str(data.get("code")), str(data.get("message")), {})
    except BaseException:
        await link.aclose()
        raise
    return link


async def check_bad_frame(subject: Subject) -> Said:
    """Send malformed messages in the middle of an episode."""
    try:
        link = await begin(subject)
    except CapacityError:
        return skipped("the server holds no session for it now (CAPACITY_REACHED)")
    codes: list[str] = []
    try:
        for what, text in _BAD:
            try:
                said = await _ask(link, text, subject.call_timeout_s)
                if said.get("type") != "error":
                    return failed(f"{what} was answered with {said.get('type')!r}, and not with an error")
                codes.append(str((said.get("data") or {}).get("code")))
                said = await _ask(link, '{"type": "state"}', subject.call_timeout_s)
            except LinkClosed:
                return failed(f"{what} ended the session", "answer it with an error and go on")
            if said.get("type") != "state":
                return failed(f"after {what}, the state was answered with {said.get('type')!r}")
        try:
            await _ask(link, _NO_OBJECT, subject.call_timeout_s)
            await _ask(link, '{"type": "state"}', subject.call_timeout_s)
            await leave(link)
        except LinkClosed:
            # Servers of OpenEnv do it, and it is not the author's to mend.
            return warned("JSON that is no object ended the session; other malformed messages are answered with errors")
    finally:
        await link.aclose()
    return Said(sentence=f"malformed messages are answered with errors, and the session lives ({', '.join(codes)})")


async def check_bad_action(player: Player) -> Said:
    """Step with actions that do not fit the schema, then with one that does."""
    wrong = wrong_actions(player.schemas["action"])
    reached: list[str] = []
    refused: list[str] = []
    async with player.subject.client("json") as client:
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
        await _still_plays(client, player)
    if refused:
        return Said(
            sentence=f"wrong actions are refused, and the session lives ({' '.join(refused[0].split())[:100]})",
            details=tuple(refused[1:]),
        )
    if reached:
        text = f"wrong actions are not refused; they reach the environment's code: {reached[0]}"
        return warned(text, "let the action's class forbid unknown fields")
    return warned("wrong actions are played as if nothing were wrong", "let the action's class forbid unknown fields")


def wrong_actions(schema: Any) -> list[Any]:
    """Make actions that do not fit: an unknown field, a value of another type, a missing field."""
    try:
        good = actions(schema, 1)[0]
    except CannotGenerate:
        good = {}
    if not isinstance(good, dict):
        return [{_STRANGE: 1}]
    made: list[Any] = [{**good, _STRANGE: 1}]
    required = [name for name in schema.get("required") or [] if name in good]
    if required:
        value = good[required[0]]
        made.append({**good, required[0]: [] if isinstance(value, dict) else {_STRANGE: 1}})
        made.append({key: value for key, value in good.items() if key != required[0]})
    return made


async def _still_plays(client: Client, player: Player) -> None:
    await client.state()
    for action in player.good[:1]:
        with contextlib.suppress(EnvironmentFailed):
            await client.step(action)


async def _ask(link: Link, text: str, timeout_s: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout(timeout_s):
            await link.send(text)
            said = json.loads(await link.receive())
    except TimeoutError:
        raise EnvError(f"no answer to {text!r} within {timeout_s:g} s") from None
    except ValueError as error:
        raise EnvError(f"the answer to {text!r} is no JSON") from error
    return said if isinstance(said, dict) else {}
