"""Plays a recording again on a server, call by call, up to the first difference.

Errors of the infrastructure (a timeout, a crash) are not compared, since they say nothing about the environment, and
requests that were redacted or left out cannot be played. `recording.reading` reads the file,
`conformance.comparing` compares values.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openenv_async.client import AsyncEnv
from openenv_async.client.options import WireChoice
from openenv_async.conformance.comparing import Difference, Skip, find_difference
from openenv_async.errors import EnvError, from_wire
from openenv_async.recording.lines import REDACTED
from openenv_async.recording.reading import RecordedCall, RecordedEpisode, Recording
from openenv_async.results import StepResult

_PLACE = re.compile(r"\[\d+\]")

WIRES: dict[str, WireChoice] = {"native": "native", "json": "json", "http": "json"}
"""The wire that a recording is played on: JSON cannot carry every value of the native wire."""


class Found(NamedTuple):
    """The first difference, and where in the file."""

    episode: int
    call: int
    """The call's number in its episode; the reset is 0."""
    kind: str
    line: int
    difference: Difference


@dataclass(slots=True)
class Replayed:
    """The result of playing a recording."""

    calls: int = 0
    """Number of calls played and compared."""
    episodes: int = 0
    found: Found | None = None
    notes: list[str] = field(default_factory=list)
    """Sentences about what was not compared, and why."""


class _Stop(Exception):
    """The rest of the episode cannot be played; the text says why."""


def skipping(patterns: Iterable[str]) -> Skip:
    """Return a test for paths to ignore: `observation.at`, `observation.items[*].id`, `*.clock`.

    `*` stands for anything, and a path without list indices for every index.
    """
    # `[` begins a set in a glob, and a list index here.
    globs = [pattern.replace("[", "[[]") for pattern in patterns]

    def skip(path: str) -> bool:
        return any(fnmatch.fnmatchcase(one, glob) for glob in globs for one in (path, _PLACE.sub("", path)))

    return skip


async def replay(
    recording: Recording, env: AsyncEnv[Any, Any, Any], skip: Skip, each: Callable[[int], object], timeout_s: float
) -> Replayed:
    """Play all episodes in one session, up to the first difference.

    Args:
        recording: the recording to play.
        env: a client of the server, not yet connected.
        skip: returns whether a path may differ.
        each: called with the number of calls played, after each.
        timeout_s: seconds for each call.

    Raises:
        ConnectFailed: no server answers.
        Unauthorized: the server needs a token.
        CapacityError: the server is full.
    """
    done = Replayed()
    async with env:
        for episode in recording.episodes:
            if not episode.calls or episode.calls[0].kind != "reset":
                done.notes.append(f"episode {episode.number} has no reset, so it cannot be begun")
                continue
            try:
                await _episode(episode, env, skip, each, timeout_s, done)
            except _Stop as stop:
                done.notes.append(f"episode {episode.number} is not played to its end: {stop}")
                continue
            if done.found is not None:
                break
            done.episodes += 1
            if episode.missing:
                done.notes.append(f"episode {episode.number}: {episode.missing} calls are not in the recording")
    return done


async def _episode(
    episode: RecordedEpisode,
    env: AsyncEnv[Any, Any, Any],
    skip: Skip,
    each: Callable[[int], object],
    timeout_s: float,
    done: Replayed,
) -> None:
    steps = 0
    for call in episode.calls:
        if call.kind == "state":
            continue
        _playable(call)
        got = await _again(call, env, timeout_s)
        done.calls += 1
        each(done.calls)
        found = _compare(call, got, skip)
        if found is not None:
            done.found = Found(episode.number, steps, call.kind, call.line, found)
            return
        steps += 1


def _playable(call: RecordedCall) -> None:
    """Stop at a call that cannot be played or compared."""
    where = f"line {call.line}"
    if call.error is not None and not _is_the_tasks(call.error):
        raise _Stop(
            f"{where}: {call.kind} ended with {call.error.get('code')}, which is not an outcome of the environment"
        )
    if call.request is None and call.kind == "step":
        raise _Stop(f"{where}: its action is not in the recording")
    if "request" in call.left_out:
        raise _Stop(f"{where}: its request was too large to be recorded")
    if _holds_redacted(call.request):
        raise _Stop(f"{where}: a field of its request is redacted")


def _is_the_tasks(error: dict[str, Any]) -> bool:
    return from_wire(str(error.get("code")), "", {}).fault == "task"


def _holds_redacted(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_redacted, value.values()))
    if isinstance(value, list):
        return any(map(_holds_redacted, value))
    return isinstance(value, str) and value == REDACTED


async def _again(call: RecordedCall, env: AsyncEnv[Any, Any, Any], timeout_s: float) -> StepResult[Any] | EnvError:
    try:
        if call.kind == "step":
            return await env.step(call.request, timeout_s=timeout_s)
        # OpenEnv's clients may have put a deadline among the arguments.
        return await env.reset(**({"timeout_s": timeout_s} | (call.request or {})))
    except EnvError as error:
        if error.fault == "task":
            return error
        raise


def _compare(call: RecordedCall, got: StepResult[Any] | EnvError, skip: Skip) -> Difference | None:
    recorded_code = None if call.error is None else str(call.error.get("code"))
    got_code = got.code if isinstance(got, EnvError) else None
    if recorded_code != got_code:
        words = [
            f"{code}: {text}" if code else "none" for code, text in ((recorded_code, _text(call)), (got_code, got))
        ]
        return Difference("error", *words)
    if isinstance(got, EnvError):
        return None
    pairs = [
        ("observation", _without_metadata(call.observation), _without_metadata(got.observation)),
        ("reward", call.reward, got.reward),
        ("done", bool_of(call.done), bool_of(got.done)),
        ("truncated", bool_of(call.truncated), bool_of(got.truncated)),
        ("metadata", call.metadata or {}, got.metadata or {}),
    ]
    for name, recorded, value in pairs:
        if name in call.left_out:
            continue
        found = find_difference(recorded, value, name, skip)
        if found is not None:
            return found
    return None


def _text(call: RecordedCall) -> str:
    return str((call.error or {}).get("message", ""))


def _without_metadata(observation: Any) -> Any:
    """Remove the field, which is compared by itself: one wire leaves a copy in the observation."""
    if isinstance(observation, dict) and "metadata" in observation:
        return {key: value for key, value in observation.items() if key != "metadata"}
    return observation


def bool_of(value: Any) -> Any:
    """Return a flag as a bool; an array of flags stays one."""
    return value if hasattr(value, "__len__") else bool(value)
