"""Every check of a running server, in the order in which one builds on the other."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import anyio

from openenv_async.validation.endpoints import check_health, check_metadata, check_schema
from openenv_async.validation.playing import Player
from openenv_async.validation.raw import check_bad_action, check_bad_frame
from openenv_async.validation.recorder import Recorder, Said
from openenv_async.validation.sessions import check_close, check_sessions
from openenv_async.validation.subject import Subject

CLOSE_WAIT_S = 1.0

NAMES = (
    "health",
    "schema",
    "metadata",
    "wire",
    "reset",
    "step",
    "state",
    "seed",
    "sessions",
    "bad frame",
    "bad action",
    "close",
)


async def examine(subject: Subject, recorder: Recorder) -> None:
    """Run every check against a server.

    Args:
        subject: the server.
        recorder: keeps what is found; it has been told the level and the names.
    """
    with warnings.catch_warnings():
        # Clients warn of what a server did not do as asked; here that is a finding.
        warnings.simplefilter("ignore")
        await _examine(subject, recorder)


async def _examine(subject: Subject, recorder: Recorder) -> None:
    schemas: dict[str, Any] = {}
    await recorder.run("health", lambda: check_health(subject))
    await recorder.run("schema", lambda: check_schema(subject, schemas))
    await recorder.run("metadata", lambda: check_metadata(subject))
    found: list[int | None] = []
    await recorder.run("wire", lambda: _check_wire(subject, found))
    if found and subject.max_sessions is None:
        subject = replace(subject, max_sessions=found[0])
    player = Player(subject, schemas)
    client = subject.client()
    try:
        await recorder.run("reset", lambda: player.check_reset(client), ["wire"])
        await recorder.run("step", lambda: player.check_step(client), ["reset", "schema"])
        await recorder.run("state", lambda: player.check_state(client), ["reset"])
    finally:
        # A session whose environment hangs does not end by itself, and nobody needs to wait for that.
        with anyio.move_on_after(CLOSE_WAIT_S):
            await client.close()
    await recorder.run("seed", player.check_seed, ["reset"])
    await recorder.run("sessions", lambda: check_sessions(player), ["reset", "step", "state"])
    await recorder.run("bad frame", lambda: check_bad_frame(subject), ["reset", "state"])
    await recorder.run("bad action", lambda: check_bad_action(player), ["reset", "state", "schema"])
    await recorder.run("close", lambda: check_close(subject), ["reset"])


async def _check_wire(subject: Subject, found: list[int | None]) -> Said:
    hello = await subject.hello()
    if hello is None:
        return Said(sentence="the server speaks OpenEnv's JSON")
    most = hello.limits.get("max_sessions")
    found.append(most if isinstance(most, int) else None)
    holds = f"{most} sessions, few for these checks" if subject.mine and subject.max_sessions else f"{most} sessions"
    return Said(sentence=f"the server speaks the native wire (version {hello.version}), and holds {holds}")
